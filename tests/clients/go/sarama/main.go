// The scenarios for sarama.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/IBM/sarama"

	. "waybill.test/clients/contract"
)

var (
	args  Arguments
	admin sarama.ClusterAdmin
)

func main() {
	args = Parse()
	sarama.Logger = log.New(io.Discard, "", 0)
	if os.Getenv("CLIENT_LOG") != "" {
		sarama.Logger = log.New(os.Stderr, "", log.LstdFlags)
	}
	var err error
	admin, err = sarama.NewClusterAdmin([]string{args.Bootstrap}, config())
	Must(err, "admin client")
	defer admin.Close()
	scenarios := []Scenario{
		{"create-topic", createTopic},
		{"idempotent", idempotent},
		{"fidelity", fidelity},
		{"group-consume", groupConsume},
		{"commit-resume", commitResume},
		{"reset-earliest", resetEarliest},
		{"reset-latest", resetLatest},
		NotOffered("reset-none", "always resets"),
		NotOffered("reset-duration", "no such reset"),
		{"out-of-range", outOfRange},
		{"offsets-for-times", offsetsForTimes},
		{"rebalance-range", func(ctx context.Context) {
			rebalance(ctx, "rebalance", sarama.NewBalanceStrategyRange())
		}},
		NotOffered("rebalance-cooperative", "no cooperative consumer"),
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
	Play("sarama", "github.com/IBM/sarama", args, scenarios)
}

// What the scenarios share.

func config() *sarama.Config {
	made := sarama.NewConfig()
	// Without this the library speaks the protocol of 2021.
	made.Version = sarama.MaxVersion
	made.Producer.RequiredAcks = sarama.WaitForAll
	made.Producer.Return.Successes = true
	made.Producer.Partitioner = sarama.NewRoundRobinPartitioner
	made.Consumer.Return.Errors = true
	made.Consumer.Offsets.Initial = sarama.OffsetOldest
	made.Consumer.Offsets.AutoCommit.Enable = false
	made.Consumer.MaxWaitTime = 200 * time.Millisecond
	made.Consumer.Group.Session.Timeout = 10 * time.Second
	made.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	made.Metadata.Retry.Max = 20
	return made
}

func topic(name string, partitions int32) string {
	full := args.Topic + "-" + name
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: int16(args.Replication)}
	Must(admin.CreateTopic(full, detail, false), "create topic")
	Until(10*time.Second, "leaders of the topic", func() bool { return led(full, partitions) })
	return full
}

func led(name string, partitions int32) bool {
	found, err := admin.DescribeTopics([]string{name})
	Must(err, "describe topics")
	if int32(len(found[0].Partitions)) != partitions {
		return false
	}
	for _, one := range found[0].Partitions {
		if one.Leader < 0 {
			return false
		}
	}
	return true
}

func send(settings *sarama.Config, messages []*sarama.ProducerMessage) {
	producer, err := sarama.NewSyncProducer([]string{args.Bootstrap}, settings)
	Must(err, "producer")
	defer producer.Close()
	Must(producer.SendMessages(messages), "produce")
}

func produce(settings *sarama.Config, name string, count int) {
	messages := make([]*sarama.ProducerMessage, count)
	for index := range messages {
		messages[index] = &sarama.ProducerMessage{Topic: name, Value: sarama.ByteEncoder(Value(index))}
	}
	send(settings, messages)
}

func client() sarama.Client {
	made, err := sarama.NewClient([]string{args.Bootstrap}, config())
	Must(err, "client")
	return made
}

// read takes count records of all partitions without a group.
func read(ctx context.Context, name string, count int) []*sarama.ConsumerMessage {
	consumer, err := sarama.NewConsumer([]string{args.Bootstrap}, config())
	Must(err, "consumer")
	defer consumer.Close()
	partitions, err := consumer.Partitions(name)
	Must(err, "partitions")
	messages := make(chan *sarama.ConsumerMessage)
	reading, quit := context.WithCancel(ctx)
	defer quit()
	for _, partition := range partitions {
		one, err := consumer.ConsumePartition(name, partition, sarama.OffsetOldest)
		Must(err, "consume partition")
		defer one.AsyncClose()
		go func() {
			for message := range one.Messages() {
				select {
				case messages <- message:
				case <-reading.Done():
					return
				}
			}
		}()
	}
	var taken []*sarama.ConsumerMessage
	for len(taken) < count {
		select {
		case message := <-messages:
			taken = append(taken, message)
		case <-ctx.Done():
			panic(fmt.Sprintf("%d records within the time, expected %d", len(taken), count))
		}
	}
	return taken
}

func plain(messages []*sarama.ConsumerMessage) []Record {
	out := make([]Record, len(messages))
	for index, one := range messages {
		out[index] = Record{Partition: one.Partition, Offset: one.Offset, Value: string(one.Value)}
	}
	return out
}

func offset(name string, time int64) int64 {
	asking := client()
	defer asking.Close()
	found, err := asking.GetOffset(name, 0, time)
	Must(err, "get offset")
	return found
}

// member is a running group member.
type member struct {
	sync.Mutex
	group    sarama.ConsumerGroup
	quit     context.CancelFunc
	done     chan struct{}
	topic    string
	limit    int
	owned    []int
	seen     []*sarama.ConsumerMessage
	sessions int
	session  sarama.ConsumerGroupSession
}

func (one *member) Setup(session sarama.ConsumerGroupSession) error {
	one.Lock()
	defer one.Unlock()
	one.sessions++
	one.session = session
	one.owned = nil
	for _, partition := range session.Claims()[one.topic] {
		one.owned = append(one.owned, int(partition))
	}
	sort.Ints(one.owned)
	return nil
}

func (one *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (one *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			one.keep(session, message)
		case <-session.Context().Done():
			return nil
		}
	}
}

func (one *member) keep(session sarama.ConsumerGroupSession, message *sarama.ConsumerMessage) {
	one.Lock()
	defer one.Unlock()
	if len(one.seen) < one.limit {
		one.seen = append(one.seen, message)
		session.MarkMessage(message, "")
	}
}

func (one *member) claims() []int {
	one.Lock()
	defer one.Unlock()
	return one.owned
}

func (one *member) messages() []*sarama.ConsumerMessage {
	one.Lock()
	defer one.Unlock()
	return one.seen
}

func (one *member) take(count int) []*sarama.ConsumerMessage {
	Until(20*time.Second, fmt.Sprintf("%d records", count), func() bool { return len(one.messages()) >= count })
	return one.messages()
}

func (one *member) commit() {
	one.Lock()
	defer one.Unlock()
	one.session.Commit()
}

func (one *member) close() {
	one.quit()
	<-one.done
	Must(one.group.Close(), "close the group")
}

// join starts a group member that keeps the first limit records.
func join(ctx context.Context, group, name string, limit int, change func(*sarama.Config)) *member {
	settings := config()
	if change != nil {
		change(settings)
	}
	joined, err := sarama.NewConsumerGroup([]string{args.Bootstrap}, args.Topic+"-"+group, settings)
	Must(err, "consumer group")
	consuming, quit := context.WithCancel(ctx)
	one := &member{group: joined, quit: quit, done: make(chan struct{}), topic: name, limit: limit}
	go func() {
		for range joined.Errors() {
		}
	}()
	go func() {
		defer close(one.done)
		for consuming.Err() == nil {
			if err := joined.Consume(consuming, []string{name}, one); errors.Is(err, sarama.ErrClosedConsumerGroup) {
				return
			}
		}
	}()
	return one
}

// The scenarios.

func createTopic(context.Context) {
	name := topic("create", Partitions)
	Check(led(name, Partitions), "a partition without a leader")
}

func codecs(ctx context.Context, which string) {
	settings := config()
	Must(settings.Producer.Compression.UnmarshalText([]byte(which)), "codec")
	name := topic("codec-"+which, Partitions)
	produce(settings, name, Records)
	Whole(plain(read(ctx, name, Records)))
}

func idempotent(ctx context.Context) {
	settings := config()
	settings.Producer.Idempotent = true
	settings.Net.MaxOpenRequests = 1
	name := topic("idempotent", Partitions)
	produce(settings, name, Records)
	Whole(plain(read(ctx, name, Records)))
}

func fidelity(ctx context.Context) {
	name := topic("fidelity", 1)
	binary := make([]byte, 256)
	for index := range binary {
		binary[index] = byte(index)
	}
	headers := []sarama.RecordHeader{
		{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("a"), Value: []byte("2")}, {Key: []byte("c"), Value: []byte{}},
	}
	sent := []*sarama.ProducerMessage{
		{Topic: name, Value: sarama.StringEncoder("no key")},
		{Topic: name, Key: sarama.StringEncoder("key")},
		{Topic: name, Key: sarama.ByteEncoder{}, Value: sarama.ByteEncoder{}},
		{Topic: name, Key: sarama.ByteEncoder{0, 255}, Value: sarama.ByteEncoder(binary), Headers: headers},
	}
	for index, one := range sent {
		one.Timestamp = time.UnixMilli(FirstTimeMs + int64(index))
	}
	send(config(), sent)
	for index, got := range read(ctx, name, len(sent)) {
		want := sent[index]
		Equal(got.Key, bytes(want.Key), "key")
		Equal(got.Value, bytes(want.Value), "value")
		Equal(got.Timestamp.UnixMilli(), FirstTimeMs+int64(index), "timestamp")
		Equal(len(got.Headers), len(want.Headers), "headers")
		for at, header := range got.Headers {
			Equal(*header, want.Headers[at], "header")
		}
	}
}

func bytes(encoder sarama.Encoder) []byte {
	if encoder == nil {
		return nil
	}
	encoded, err := encoder.Encode()
	Must(err, "encode")
	return encoded
}

func groupConsume(ctx context.Context) {
	name := topic("group", Partitions)
	produce(config(), name, Records)
	one := join(ctx, "group", name, Records+1, nil)
	defer one.close()
	Whole(plain(one.take(Records)))
}

func commitResume(ctx context.Context) {
	name := topic("resume", Partitions)
	produce(config(), name, Records)
	first := join(ctx, "resume", name, 400, nil)
	seen := first.take(400)
	first.commit()
	first.close()
	second := join(ctx, "resume", name, Records, nil)
	defer second.close()
	Whole(plain(append(seen, second.take(Records-len(seen))...)))
}

func resetEarliest(ctx context.Context) {
	name := topic("earliest", 1)
	produce(config(), name, 10)
	one := join(ctx, "earliest", name, 10, nil)
	defer one.close()
	Equal(one.take(1)[0].Offset, int64(0), "first offset")
}

func resetLatest(ctx context.Context) {
	name := topic("latest", 1)
	produce(config(), name, 10)
	one := join(ctx, "latest", name, 10, func(settings *sarama.Config) {
		settings.Consumer.Offsets.Initial = sarama.OffsetNewest
	})
	defer one.close()
	Until(15*time.Second, "a record made later", func() bool {
		produce(config(), name, 1)
		time.Sleep(100 * time.Millisecond)
		return len(one.messages()) > 0
	})
	Check(one.messages()[0].Offset >= 10, "a record that was there before")
}

func outOfRange(ctx context.Context) {
	name := topic("range", 1)
	produce(config(), name, Records)
	Must(admin.DeleteRecords(name, map[int32]int64{0: 500}), "delete records")
	consumer, err := sarama.NewConsumer([]string{args.Bootstrap}, config())
	Must(err, "consumer")
	defer consumer.Close()
	_, err = consumer.ConsumePartition(name, 0, 3)
	Is(err, sarama.ErrOffsetOutOfRange)
	one := join(ctx, "range", name, Records, nil)
	defer one.close()
	Equal(one.take(1)[0].Offset, int64(500), "first offset of a new group")
}

func offsetsForTimes(context.Context) {
	name := topic("times", 1)
	messages := make([]*sarama.ProducerMessage, Records)
	for index := range messages {
		at := time.UnixMilli(FirstTimeMs + 1000*int64(index))
		messages[index] = &sarama.ProducerMessage{Topic: name, Value: sarama.ByteEncoder(Value(index)), Timestamp: at}
	}
	send(config(), messages)
	Equal(offset(name, FirstTimeMs+500_000), int64(500), "offset at a record's time")
	Equal(offset(name, FirstTimeMs+500_001), int64(501), "offset between two records")
	Equal(offset(name, 0), int64(0), "offset before all")
	Equal(offset(name, FirstTimeMs+10_000_000), int64(-1), "offset after all")
	Equal(offset(name, sarama.OffsetOldest), int64(0), "first offset")
	Equal(offset(name, sarama.OffsetNewest), int64(Records), "end offset")
}

func rebalance(ctx context.Context, group string, strategy sarama.BalanceStrategy) {
	change := func(settings *sarama.Config) {
		settings.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	}
	name := topic(group, 4)
	first := join(ctx, group, name, Records, change)
	Until(20*time.Second, "all partitions", func() bool { return len(first.claims()) == 4 })
	second := join(ctx, group, name, Records, change)
	Until(20*time.Second, "two partitions each", func() bool {
		return len(first.claims()) == 2 && len(second.claims()) == 2
	})
	owned := append(append([]int{}, first.claims()...), second.claims()...)
	sort.Ints(owned)
	Equal(owned, []int{0, 1, 2, 3}, "partitions owned")
	second.close()
	Until(20*time.Second, "all partitions again", func() bool { return len(first.claims()) == 4 })
	first.close()
}

func staticMembership(ctx context.Context) {
	named := func(id string) func(*sarama.Config) {
		return func(settings *sarama.Config) { settings.Consumer.Group.InstanceId = id }
	}
	name := topic("static", 4)
	stays := join(ctx, "static", name, Records, named("stays"))
	goes := join(ctx, "static", name, Records, named("goes"))
	Until(20*time.Second, "two partitions each", func() bool {
		return len(stays.claims()) == 2 && len(goes.claims()) == 2
	})
	stays.Lock()
	sessions := stays.sessions
	stays.Unlock()
	owned := goes.claims()
	goes.close()
	back := join(ctx, "static", name, Records, named("goes"))
	Until(20*time.Second, "partitions after the return", func() bool { return len(back.claims()) == 2 })
	Equal(back.claims(), owned, "the same partitions")
	stays.Lock()
	Equal(stays.sessions, sessions, "rebalances seen by the other member")
	stays.Unlock()
	back.close()
	stays.close()
}

func adminTopics(context.Context) {
	name := topic("listed", Partitions)
	listed, err := admin.ListTopics()
	Must(err, "list topics")
	Equal(listed[name].NumPartitions, int32(Partitions), "partitions listed")
}

func adminPartitions(context.Context) {
	name := topic("grow", Partitions)
	Must(admin.CreatePartitions(name, 6, nil, false), "create partitions")
	Until(10*time.Second, "6 partitions", func() bool { return led(name, 6) })
}

func adminConfigs(context.Context) {
	name := topic("configs", 1)
	retention := func() string {
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: name})
		Must(err, "describe config")
		for _, one := range entries {
			if one.Name == "retention.ms" {
				return one.Value
			}
		}
		panic("no retention.ms")
	}
	value := "3600000"
	Check(retention() != value, "the value was there before")
	change := map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value},
	}
	Must(admin.IncrementalAlterConfig(sarama.TopicResource, name, change, false), "alter config")
	Until(10*time.Second, "the new retention.ms", func() bool { return retention() == value })
}

func adminDeleteRecords(context.Context) {
	name := topic("trim", 1)
	produce(config(), name, Records)
	Must(admin.DeleteRecords(name, map[int32]int64{0: 500}), "delete records")
	Equal(offset(name, sarama.OffsetOldest), int64(500), "first offset")
	Equal(offset(name, sarama.OffsetNewest), int64(Records), "end offset")
}

func adminGroups(ctx context.Context) {
	name := topic("groups", Partitions)
	produce(config(), name, 10)
	group := args.Topic + "-groups"
	one := join(ctx, "groups", name, 10, nil)
	one.take(10)
	one.commit()
	listed, err := admin.ListConsumerGroups()
	Must(err, "list groups")
	Equal(listed[group], "consumer", "the group's protocol")
	described, err := admin.DescribeConsumerGroups([]string{group})
	Must(err, "describe groups")
	Equal([]any{described[0].State, len(described[0].Members)}, []any{"Stable", 1}, "state and members")
	committed, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{name: {0, 1, 2}})
	Must(err, "group offsets")
	sum := int64(0)
	for _, block := range committed.Blocks[name] {
		sum += max(block.Offset, 0)
	}
	Equal(sum, int64(10), "committed in all")
	one.close()
	Must(admin.DeleteConsumerGroup(group), "delete group")
	listed, err = admin.ListConsumerGroups()
	Must(err, "list groups")
	_, found := listed[group]
	Check(!found, "the group is still listed")
}

func recreate(ctx context.Context) {
	name := topic("again", 1)
	produce(config(), name, 10)
	Must(admin.DeleteTopic(name), "delete topic")
	Until(15*time.Second, "the topic made again", func() bool {
		detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: int16(args.Replication)}
		return admin.CreateTopic(name, detail, false) == nil && led(name, 1)
	})
	Equal(offset(name, sarama.OffsetNewest), int64(0), "end offset")
	produce(config(), name, 3)
	for index, one := range read(ctx, name, 3) {
		Equal(one.Offset, int64(index), "offset in the new topic")
	}
}
