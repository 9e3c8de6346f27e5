// A mirror that takes records apart and puts them together again, as Redpanda Migrator and kaf-mirror do: records of a
// consumer group of franz-go are produced to the same partition with key, value, headers and timestamp. Batches of up to
// 1 MB, acks=all, idempotent, no linger; offsets are committed every five seconds, of what has been acknowledged.
//
// It is the reference that the benchmark compares with, not a product: any error ends it.
package main

import (
	"context"
	"flag"
	"log"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	batchBytesMax  = 1_000_000
	fetchBytesMax  = 50 << 20
	partitionBytes = 8 << 20
	// Of records that are not acknowledged yet.
	bufferedBytesMax = 256 << 20
	commitEvery      = 5 * time.Second
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(),
	"gzip": kgo.GzipCompression(),
	"lz4":  kgo.Lz4Compression(),
	"zstd": kgo.ZstdCompression(),
}

func main() {
	source := flag.String("source", "", "host:port of brokers, with commas between")
	target := flag.String("target", "", "host:port of brokers, with commas between")
	topic := flag.String("topic", "", "copied under its own name; it must be there on both sides")
	group := flag.String("group", "go-mirror", "consumer group on the source")
	codec := flag.String("codec", "none", "what is written is compressed so: none, gzip, lz4, zstd")
	flag.Parse()
	compression, known := codecs[*codec]
	if !known {
		log.Fatalf("--codec %s is not known", *codec)
	}

	consumer, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(*source, ",")...),
		kgo.ConsumerGroup(*group),
		// A member that comes back is the same one: the group does not wait for the session of the one that was killed.
		kgo.InstanceID("mirror"),
		kgo.ConsumeTopics(*topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(commitEvery),
		kgo.FetchMaxBytes(fetchBytesMax),
		kgo.FetchMaxPartitionBytes(partitionBytes),
	)
	if err != nil {
		log.Fatal(err)
	}
	producer, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(*target, ",")...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(batchBytesMax),
		kgo.ProducerBatchCompression(compression),
		kgo.ProducerLinger(0),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.MaxBufferedRecords(1<<30),
		kgo.MaxBufferedBytes(bufferedBytesMax),
	)
	if err != nil {
		log.Fatal(err)
	}
	for {
		fetches := consumer.PollFetches(context.Background())
		fetches.EachError(func(topic string, partition int32, err error) {
			log.Fatalf("fetch of %s-%d: %v", topic, partition, err)
		})
		fetches.EachPartition(func(partition kgo.FetchTopicPartition) {
			mirror(consumer, producer, partition.Records)
		})
	}
}

// Acknowledgements of a partition come in order, so that with the last record all of them are on the target.
func mirror(consumer, producer *kgo.Client, records []*kgo.Record) {
	for index, record := range records {
		isLast := index == len(records)-1
		copied := &kgo.Record{
			Topic:     record.Topic,
			Partition: record.Partition,
			Timestamp: record.Timestamp,
			Key:       record.Key,
			Value:     record.Value,
			Headers:   record.Headers,
		}
		producer.Produce(context.Background(), copied, func(_ *kgo.Record, err error) {
			if err != nil {
				log.Fatalf("produce to %s-%d: %v", record.Topic, record.Partition, err)
			}
			if isLast {
				consumer.MarkCommitRecords(record)
			}
		})
	}
}
