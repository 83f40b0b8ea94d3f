// Package contract is what every client program here has in common: its arguments, its data, and what it prints.
//
// A program is started as PROGRAM --bootstrap HOST:PORT --topic PREFIX [--scenario A,B] [--replication N] and prints
// one JSON line per scenario: {client, version, scenario, ok, detail, seconds}. "ok" is null where the library does
// not offer the thing at all; "detail" then says so.
package contract

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"sort"
	"strings"
	"time"
)

// Records is how many records a scenario moves unless it says otherwise.
const Records = 1000

// Partitions is how many partitions a topic has unless a scenario says otherwise.
const Partitions = 3

// FirstTimeMs is where event times start; they go on in steps of one second.
const FirstTimeMs = int64(1_600_000_000_000)

// scenarioLimit is what a scenario may take.
const scenarioLimit = 60 * time.Second

// Codecs are the names of Kafka's compression codecs.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Arguments are what each program takes.
type Arguments struct {
	Bootstrap   string
	Topic       string
	Replication int
	scenario    string
}

// Parse reads the arguments.
func Parse() Arguments {
	var args Arguments
	flag.StringVar(&args.Bootstrap, "bootstrap", "", "HOST:PORT of a broker")
	flag.StringVar(&args.Topic, "topic", "", "prefix of every topic and group made here")
	flag.StringVar(&args.scenario, "scenario", "all", "names, parted by commas")
	flag.IntVar(&args.Replication, "replication", 3, "replication factor asked for")
	flag.Parse()
	return args
}

// Scenario is one named check.
type Scenario struct {
	Name string
	Run  func(ctx context.Context)
}

// NotOffered makes a scenario that tells why the library can not run it.
func NotOffered(name, reason string) Scenario {
	return Scenario{name, func(context.Context) { panic(notOffered(reason)) }}
}

type notOffered string

type line struct {
	Client   string  `json:"client"`
	Version  string  `json:"version"`
	Scenario string  `json:"scenario"`
	Ok       *bool   `json:"ok"`
	Detail   string  `json:"detail"`
	Seconds  float64 `json:"seconds"`
}

// Play runs the chosen scenarios one after the other and prints a line for each.
func Play(client, module string, args Arguments, scenarios []Scenario) {
	chosen := strings.Split(args.scenario, ",")
	for _, scenario := range scenarios {
		if args.scenario != "all" && !contains(chosen, scenario.Name) {
			continue
		}
		began := time.Now()
		result := line{Client: client, Version: version(module), Scenario: scenario.Name}
		result.Ok, result.Detail = attempt(scenario)
		result.Seconds = time.Since(began).Seconds()
		if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func attempt(scenario Scenario) (ok *bool, detail string) {
	well := true
	ok = &well
	defer func() {
		switch problem := recover().(type) {
		case nil:
		case notOffered:
			ok, detail = nil, string(problem)
		default:
			well = false
			detail = strings.ReplaceAll(fmt.Sprint(problem), "\n", " | ")
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), scenarioLimit)
	defer cancel()
	scenario.Run(ctx)
	return ok, detail
}

// version is the version of a module in this program.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, one := range info.Deps {
		if one.Path == module {
			return one.Version
		}
	}
	return "unknown"
}

func contains(list []string, wanted string) bool {
	for _, one := range list {
		if one == wanted {
			return true
		}
	}
	return false
}

// Must ends the scenario when there is an error.
func Must(err error, what string) {
	if err != nil {
		panic(fmt.Sprintf("%s: %v", what, err))
	}
}

// Check ends the scenario when a condition does not hold.
func Check(condition bool, what string) {
	if !condition {
		panic(what)
	}
}

// Equal ends the scenario when two values differ.
func Equal(actual, expected any, what string) {
	if !reflect.DeepEqual(actual, expected) {
		panic(fmt.Sprintf("%s: %v, expected %v", what, actual, expected))
	}
}

// Is ends the scenario when an error is another one.
func Is(err, expected error) {
	if !errors.Is(err, expected) {
		panic(fmt.Sprintf("error %v, expected %v", err, expected))
	}
}

// Value is the value of a record: long enough for a codec to have something to do.
func Value(index int) []byte {
	return []byte(fmt.Sprintf("record-%06d-%s", index, strings.Repeat("abcdefgh", 8)))
}

// Until calls condition until it holds, for at most limit.
func Until(limit time.Duration, what string, condition func() bool) {
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		if condition() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	panic(fmt.Sprintf("%s: not within %v", what, limit))
}

// Record is what the checks look at.
type Record struct {
	Partition int32
	Offset    int64
	Value     string
}

// Whole checks that records are all of 0..Records once, in order, without holes.
func Whole(records []Record) {
	Equal(len(records), Records, "records")
	sort.Slice(records, func(a, b int) bool {
		if records[a].Partition != records[b].Partition {
			return records[a].Partition < records[b].Partition
		}
		return records[a].Offset < records[b].Offset
	})
	seen := map[string]bool{}
	next := map[int32]int64{}
	last := map[int32]string{}
	for _, one := range records {
		Equal(one.Offset, next[one.Partition], fmt.Sprintf("offset in partition %d", one.Partition))
		next[one.Partition]++
		Check(one.Value > last[one.Partition], "records out of order")
		last[one.Partition] = one.Value
		seen[one.Value] = true
	}
	for index := range Records {
		Check(seen[string(Value(index))], fmt.Sprintf("record %d is missing", index))
	}
}
