// The scenarios for franz-go and its admin client kadm.
package main

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	. "waybill.test/clients/contract"
)

var (
	args  Arguments
	admin *kadm.Client
)

func main() {
	args = Parse()
	client, err := kgo.NewClient(kgo.SeedBrokers(args.Bootstrap))
	Must(err, "client")
	defer client.Close()
	admin = kadm.NewClient(client)
	scenarios := []Scenario{
		{"create-topic", createTopic},
		{"idempotent", idempotent},
		{"fidelity", fidelity},
		{"group-consume", groupConsume},
		{"commit-resume", commitResume},
		{"reset-earliest", resetEarliest},
		{"reset-latest", resetLatest},
		NotOffered("reset-none", "a group without a commit always has a start"),
		{"reset-duration", resetDuration},
		{"out-of-range", outOfRange},
		{"offsets-for-times", offsetsForTimes},
		{"rebalance-range", func(ctx context.Context) { rebalance(ctx, "rebalance", kgo.RangeBalancer()) }},
		{"rebalance-cooperative", func(ctx context.Context) {
			rebalance(ctx, "cooperative", kgo.CooperativeStickyBalancer())
		}},
		{"static-membership", staticMembership},
		{"admin-topics", adminTopics},
		{"admin-partitions", adminPartitions},
		{"admin-configs", adminConfigs},
		{"admin-delete-records", adminDeleteRecords},
		{"admin-groups", adminGroups},
		{"recreate", recreate},
	}
	for _, codec := range Codecs {
		scenarios = append(scenarios, Scenario{"codec-" + codec, func(ctx context.Context) { codecs(ctx, codec) }})
	}
	Play("franz-go", "github.com/twmb/franz-go", args, scenarios)
}

// What the scenarios share.

func topic(ctx context.Context, name string, partitions int32) string {
	full := args.Topic + "-" + name
	made, err := admin.CreateTopic(ctx, partitions, int16(args.Replication), nil, full)
	Must(err, "create topic")
	Must(made.Err, "create topic")
	return full
}

func client(options ...kgo.Opt) *kgo.Client {
	options = append([]kgo.Opt{
		kgo.SeedBrokers(args.Bootstrap),
		kgo.FetchMaxWait(200 * time.Millisecond),
		kgo.UnknownTopicRetries(20),
		kgo.MetadataMinAge(50 * time.Millisecond),
	}, options...)
	made, err := kgo.NewClient(options...)
	Must(err, "client")
	return made
}

func send(ctx context.Context, name string, records []*kgo.Record, options ...kgo.Opt) {
	producer := client(append(options, kgo.DefaultProduceTopic(name))...)
	defer producer.Close()
	Must(producer.ProduceSync(ctx, records...).FirstErr(), "produce")
}

func produce(ctx context.Context, name string, count int, options ...kgo.Opt) {
	records := make([]*kgo.Record, count)
	for index := range records {
		records[index] = &kgo.Record{Value: Value(index)}
	}
	send(ctx, name, records, append(options, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))...)
}

func member(group, name string, options ...kgo.Opt) *kgo.Client {
	return client(append([]kgo.Opt{
		kgo.ConsumerGroup(args.Topic + "-" + group),
		kgo.ConsumeTopics(name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(10 * time.Second),
		kgo.HeartbeatInterval(500 * time.Millisecond),
	}, options...)...)
}

// take polls at least count records.
func take(ctx context.Context, consumer *kgo.Client, count int) []*kgo.Record {
	var records []*kgo.Record
	for len(records) < count {
		fetches := consumer.PollRecords(ctx, count-len(records))
		Must(fetches.Err(), fmt.Sprintf("poll after %d of %d records", len(records), count))
		records = append(records, fetches.Records()...)
	}
	return records
}

func read(ctx context.Context, name string, count int) []*kgo.Record {
	reader := client(kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer reader.Close()
	return take(ctx, reader, count)
}

func plain(records []*kgo.Record) []Record {
	out := make([]Record, len(records))
	for index, one := range records {
		out[index] = Record{Partition: one.Partition, Offset: one.Offset, Value: string(one.Value)}
	}
	return out
}

func offset(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), name string) int64 {
	listed, err := list(ctx, name)
	Must(err, "list offsets")
	found, ok := listed.Lookup(name, 0)
	Check(ok, "no offset listed")
	Must(found.Err, "list offsets")
	return found.Offset
}

// The scenarios.

func createTopic(ctx context.Context) {
	name := topic(ctx, "create", Partitions)
	details, err := admin.ListTopics(ctx, name)
	Must(err, "list topics")
	Equal(len(details[name].Partitions), Partitions, "partitions")
	for _, one := range details[name].Partitions {
		Check(one.Leader >= 0, "a partition without a leader")
	}
}

func codecs(ctx context.Context, which string) {
	codec := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}[which]
	name := topic(ctx, "codec-"+which, Partitions)
	produce(ctx, name, Records, kgo.ProducerBatchCompression(codec), kgo.DisableIdempotentWrite())
	Whole(plain(read(ctx, name, Records)))
}

func idempotent(ctx context.Context) {
	name := topic(ctx, "idempotent", Partitions)
	produce(ctx, name, Records)
	Whole(plain(read(ctx, name, Records)))
}

func fidelity(ctx context.Context) {
	name := topic(ctx, "fidelity", 1)
	binary := make([]byte, 256)
	for index := range binary {
		binary[index] = byte(index)
	}
	headers := []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "b"}, {Key: "c", Value: []byte{}}}
	sent := []*kgo.Record{
		{Value: []byte("no key")},
		{Key: []byte("key")},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte{0, 255}, Value: binary, Headers: headers},
	}
	for index, one := range sent {
		one.Timestamp = time.UnixMilli(FirstTimeMs + int64(index))
	}
	send(ctx, name, sent)
	for index, got := range read(ctx, name, len(sent)) {
		want := sent[index]
		Equal([][]byte{got.Key, got.Value}, [][]byte{want.Key, want.Value}, "key and value")
		Equal(got.Timestamp.UnixMilli(), want.Timestamp.UnixMilli(), "timestamp")
		Equal(len(got.Headers), len(want.Headers), "headers")
		for at, header := range got.Headers {
			Equal(header, want.Headers[at], "header")
		}
	}
}

func groupConsume(ctx context.Context) {
	name := topic(ctx, "group", Partitions)
	produce(ctx, name, Records)
	consumer := member("group", name)
	defer consumer.Close()
	Whole(plain(take(ctx, consumer, Records)))
}

func commitResume(ctx context.Context) {
	name := topic(ctx, "resume", Partitions)
	produce(ctx, name, Records)
	first := member("resume", name)
	seen := take(ctx, first, 400)
	Must(first.CommitRecords(ctx, seen...), "commit")
	first.Close()
	second := member("resume", name)
	defer second.Close()
	Whole(plain(append(seen, take(ctx, second, Records-len(seen))...)))
}

func resetEarliest(ctx context.Context) {
	name := topic(ctx, "earliest", 1)
	produce(ctx, name, 10)
	consumer := member("earliest", name)
	defer consumer.Close()
	Equal(take(ctx, consumer, 1)[0].Offset, int64(0), "first offset")
}

func resetLatest(ctx context.Context) {
	name := topic(ctx, "latest", 1)
	produce(ctx, name, 10)
	consumer := member("latest", name, kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	defer consumer.Close()
	var first *kgo.Record
	Until(15*time.Second, "a record made later", func() bool {
		produce(ctx, name, 1)
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		for _, one := range consumer.PollFetches(short).Records() {
			if first == nil {
				first = one
			}
		}
		return first != nil
	})
	Check(first.Offset >= 10, "a record that was there before")
}

func resetDuration(ctx context.Context) {
	name := topic(ctx, "duration", 1)
	send(ctx, name, []*kgo.Record{
		{Value: Value(0), Timestamp: time.Now().Add(-2 * time.Hour)},
		{Value: Value(1), Timestamp: time.Now().Add(-30 * time.Minute)},
	})
	hourAgo := time.Now().Add(-time.Hour).UnixMilli()
	consumer := member("duration", name, kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(hourAgo)))
	defer consumer.Close()
	Equal(take(ctx, consumer, 1)[0].Offset, int64(1), "first offset within the last hour")
}

func trim(ctx context.Context, name string) {
	var offsets kadm.Offsets = make(kadm.Offsets)
	offsets.AddOffset(name, 0, 500, -1)
	deleted, err := admin.DeleteRecords(ctx, offsets)
	Must(err, "delete records")
	one, _ := deleted.Lookup(name, 0)
	Must(one.Err, "delete records")
	Equal(one.LowWatermark, int64(500), "low watermark told")
}

func outOfRange(ctx context.Context) {
	name := topic(ctx, "range", 1)
	produce(ctx, name, Records)
	trim(ctx, name)
	from := map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(3)}}
	resetting := client(kgo.ConsumePartitions(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer resetting.Close()
	Equal(take(ctx, resetting, 1)[0].Offset, int64(500), "first offset after the reset")
	strict := client(kgo.ConsumePartitions(from), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer strict.Close()
	fetches := strict.PollFetches(ctx)
	Is(fetches.Err(), kerr.OffsetOutOfRange)
}

func offsetsForTimes(ctx context.Context) {
	name := topic(ctx, "times", 1)
	records := make([]*kgo.Record, Records)
	for index := range records {
		records[index] = &kgo.Record{Value: Value(index), Timestamp: time.UnixMilli(FirstTimeMs + 1000*int64(index))}
	}
	send(ctx, name, records)
	at := func(milli int64) int64 {
		return offset(ctx, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return admin.ListOffsetsAfterMilli(ctx, milli, topics...)
		}, name)
	}
	Equal(at(FirstTimeMs+500_000), int64(500), "offset at a record's time")
	Equal(at(FirstTimeMs+500_001), int64(501), "offset between two records")
	Equal(at(0), int64(0), "offset before all")
	Equal(at(FirstTimeMs+10_000_000), int64(Records), "offset after all (kadm gives the end)")
}

// owner keeps account of what a group member is given and loses.
type owner struct {
	sync.Mutex
	owned map[int32]bool
	lost  []int32
	moves int
	quit  context.CancelFunc
}

func (one *owner) count() int {
	one.Lock()
	defer one.Unlock()
	return len(one.owned)
}

func (one *owner) list() []int {
	one.Lock()
	defer one.Unlock()
	var owned []int
	for partition := range one.owned {
		owned = append(owned, int(partition))
	}
	sort.Ints(owned)
	return owned
}

// own starts a member that polls until it is closed.
func own(ctx context.Context, group, name string, options ...kgo.Opt) (*owner, *kgo.Client) {
	one := &owner{owned: map[int32]bool{}}
	given := func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
		one.Lock()
		defer one.Unlock()
		one.moves++
		for _, partition := range parts[name] {
			one.owned[partition] = true
		}
	}
	taken := func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
		one.Lock()
		defer one.Unlock()
		for _, partition := range parts[name] {
			delete(one.owned, partition)
			one.lost = append(one.lost, partition)
		}
	}
	options = append(options, kgo.OnPartitionsAssigned(given), kgo.OnPartitionsRevoked(taken), kgo.OnPartitionsLost(taken))
	consumer := member(group, name, options...)
	polling, quit := context.WithCancel(ctx)
	one.quit = quit
	go func() {
		for polling.Err() == nil {
			consumer.PollFetches(polling)
		}
	}()
	return one, consumer
}

func rebalance(ctx context.Context, group string, balancer kgo.GroupBalancer) {
	name := topic(ctx, group, 4)
	first, firstClient := own(ctx, group, name, kgo.Balancers(balancer))
	Until(20*time.Second, "all partitions", func() bool { return first.count() == 4 })
	second, secondClient := own(ctx, group, name, kgo.Balancers(balancer))
	Until(20*time.Second, "two partitions each", func() bool { return first.count() == 2 && second.count() == 2 })
	owned := append(first.list(), second.list()...)
	sort.Ints(owned)
	Equal(owned, []int{0, 1, 2, 3}, "partitions owned")
	if balancer.IsCooperative() {
		Equal(len(first.lost), 2, "only what moved was revoked")
	} else {
		Equal(len(first.lost), 4, "everything was revoked")
	}
	second.quit()
	secondClient.Close()
	Until(20*time.Second, "all partitions again", func() bool { return first.count() == 4 })
	first.quit()
	firstClient.Close()
}

func staticMembership(ctx context.Context) {
	name := topic(ctx, "static", 4)
	stays, staysClient := own(ctx, "static", name, kgo.InstanceID("stays"))
	goes, goesClient := own(ctx, "static", name, kgo.InstanceID("goes"))
	Until(20*time.Second, "two partitions each", func() bool { return stays.count() == 2 && goes.count() == 2 })
	owned := goes.list()
	stays.Lock()
	moves := stays.moves
	stays.Unlock()
	goes.quit()
	goesClient.Close()
	back, backClient := own(ctx, "static", name, kgo.InstanceID("goes"))
	Until(20*time.Second, "partitions after the return", func() bool { return back.count() == 2 })
	Equal(back.list(), owned, "the same partitions")
	stays.Lock()
	Equal(stays.moves, moves, "rebalances seen by the other member")
	stays.Unlock()
	back.quit()
	stays.quit()
	backClient.Close()
	staysClient.Close()
}

func adminTopics(ctx context.Context) {
	name := topic(ctx, "listed", Partitions)
	listed, err := admin.ListTopics(ctx)
	Must(err, "list topics")
	Check(listed.Has(name), "the topic is not listed")
	Check(listed[name].ID != kadm.TopicID{}, "no topic id")
	Equal(len(listed[name].Partitions), Partitions, "partitions described")
}

func adminPartitions(ctx context.Context) {
	name := topic(ctx, "grow", Partitions)
	grown, err := admin.UpdatePartitions(ctx, 6, name)
	Must(err, "create partitions")
	Must(grown.Error(), "create partitions")
	Until(10*time.Second, "6 partitions", func() bool {
		details, err := admin.ListTopics(ctx, name)
		Must(err, "list topics")
		return len(details[name].Partitions) == 6
	})
}

func adminConfigs(ctx context.Context) {
	name := topic(ctx, "configs", 1)
	retention := func() string {
		described, err := admin.DescribeTopicConfigs(ctx, name)
		Must(err, "describe configs")
		for _, one := range described[0].Configs {
			if one.Key == "retention.ms" {
				return one.MaybeValue()
			}
		}
		panic("no retention.ms")
	}
	Check(retention() != "3600000", "the value was there before")
	value := "3600000"
	change := kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}
	changed, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, name)
	Must(err, "alter configs")
	Must(changed[0].Err, "alter configs")
	Until(10*time.Second, "the new retention.ms", func() bool { return retention() == value })
}

func adminDeleteRecords(ctx context.Context) {
	name := topic(ctx, "trim", 1)
	produce(ctx, name, Records)
	trim(ctx, name)
	Equal(offset(ctx, admin.ListStartOffsets, name), int64(500), "first offset")
	Equal(offset(ctx, admin.ListEndOffsets, name), int64(Records), "end offset")
}

func adminGroups(ctx context.Context) {
	name := topic(ctx, "groups", Partitions)
	produce(ctx, name, 10)
	group := args.Topic + "-groups"
	consumer := member("groups", name)
	Must(consumer.CommitRecords(ctx, take(ctx, consumer, 10)...), "commit")
	listed, err := admin.ListGroups(ctx)
	Must(err, "list groups")
	_, found := listed[group]
	Check(found, "the group is not listed")
	described, err := admin.DescribeGroups(ctx, group)
	Must(err, "describe groups")
	Equal([]any{described[group].State, len(described[group].Members)}, []any{"Stable", 1}, "state and members")
	committed, err := admin.FetchOffsets(ctx, group)
	Must(err, "fetch offsets")
	sum := int64(0)
	committed.Each(func(one kadm.OffsetResponse) { sum += max(one.At, 0) })
	Equal(sum, int64(10), "committed in all")
	consumer.Close()
	deleted, err := admin.DeleteGroup(ctx, group)
	Must(err, "delete group")
	Must(deleted.Err, "delete group")
	listed, err = admin.ListGroups(ctx)
	Must(err, "list groups")
	_, found = listed[group]
	Check(!found, "the group is still listed")
}

func recreate(ctx context.Context) {
	name := topic(ctx, "again", 1)
	produce(ctx, name, 10)
	deleted, err := admin.DeleteTopic(ctx, name)
	Must(err, "delete topic")
	Must(deleted.Err, "delete topic")
	Until(15*time.Second, "the topic made again", func() bool {
		made, err := admin.CreateTopic(ctx, 1, int16(args.Replication), nil, name)
		return err == nil && made.Err == nil
	})
	Equal(offset(ctx, admin.ListEndOffsets, name), int64(0), "end offset")
	produce(ctx, name, 3)
	for index, one := range read(ctx, name, 3) {
		Equal(one.Offset, int64(index), "offset in the new topic")
	}
}
