/**
 * A large estate, played: brokers that answer questions about thousands of topics and groups, on connections in memory.
 * The client under measurement is the real one, with its real frames; what it costs to play the brokers is counted apart.
 */
import { Cluster } from '#kafka/cluster.ts';
import { FramePool } from '#kafka/frame.ts';
import type { Reader } from '#kafka/protocol/reader.ts';
import { Writer } from '#kafka/protocol/writer.ts';
import {
  API_VERSIONS,
  apiVersionsBody,
  parseRequest,
  responseFrame,
  type RequestFrame,
} from '#testing/broker-frames.ts';
import { must } from '#util/assert.ts';
import { systemClock } from '#util/host.ts';
import type { ConnectOptions, Network, Socket } from '#util/network.ts';
import { createRandom, type Random } from '#util/random.ts';

export interface EstateTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: number;
}

export interface EstateSize {
  readonly topics: number;
  readonly partitionsPerTopic: number;
  readonly groups: number;
  /** Topics that a group has committed on, with all their partitions. */
  readonly topicsPerGroup: number;
  readonly brokers: number;
  readonly replicas: number;
}

const [METADATA, LIST_OFFSETS, OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, LIST_GROUPS] = [3, 2, 8, 9, 10, 16];
const SPOKEN = [
  [METADATA, 12, 12],
  [LIST_OFFSETS, 7, 7],
  [OFFSET_COMMIT, 8, 8],
  [OFFSET_FETCH, 8, 8],
  [FIND_COORDINATOR, 4, 4],
  [LIST_GROUPS, 4, 4],
  [API_VERSIONS, 0, 4],
] as const;
const NAMES: Readonly<Record<number, string>> = {
  [METADATA]: 'Metadata',
  [LIST_OFFSETS]: 'ListOffsets',
  [OFFSET_COMMIT]: 'OffsetCommit',
  [OFFSET_FETCH]: 'OffsetFetch',
  [FIND_COORDINATOR]: 'FindCoordinator',
  [LIST_GROUPS]: 'ListGroups',
  [API_VERSIONS]: 'ApiVersions',
};

/** What has gone over the wire, and what playing it has cost. */
export interface Traffic {
  readonly requests: Map<string, number>;
  bytesOut: number;
  bytesIn: number;
  largestAnswer: number;
  playedUs: number;
}

export class PlayedEstate implements Network {
  readonly topics: readonly EstateTopic[];
  readonly size: EstateSize;
  traffic: Traffic = noTraffic();
  /** Where groups stand: the committed offset of every partition. */
  committed: number;
  /** Log ends of every partition. */
  readonly end = 1_000_000;
  /** None at all, as on a target on which nobody was before. */
  hasCommits = true;

  constructor(size: EstateSize, { seed, committed }: { readonly seed: number; readonly committed: number }) {
    this.size = size;
    this.committed = committed;
    this.topics = estateTopics(size, createRandom(seed));
  }

  async open(name: string): Promise<Cluster> {
    const cluster = new Cluster({
      name,
      bootstrap: ['broker-0:9092'],
      network: this,
      clock: systemClock,
      random: createRandom(1),
      pool: new FramePool({ bytesMax: 2 ** 30 }),
      advertised: { deny: [], allow: [] },
    });
    await cluster.connect();
    return cluster;
  }

  connect(options: ConnectOptions): Socket {
    let written: Buffer<ArrayBufferLike> = Buffer.alloc(0);
    let isOpen = true;
    const close = (): void => {
      if (isOpen) setImmediate(() => options.onClose(null));
      isOpen = false;
    };
    setImmediate(() => options.onConnect());
    return {
      write: (chunks) => {
        written = Buffer.concat([written, ...chunks]);
        while (written.length >= 4 && written.length >= 4 + written.readInt32BE(0)) {
          const end = 4 + written.readInt32BE(0);
          const frame = written.subarray(4, end);
          written = written.subarray(end);
          setImmediate(() => {
            if (isOpen) this.#answer(options, frame);
          });
        }
        return true;
      },
      pause: () => {},
      resume: () => {},
      destroy: close,
    };
  }

  #answer(options: ConnectOptions, frame: Buffer): void {
    const startedUs = cpuUs();
    const request = parseRequest(frame);
    const answer = responseFrame(request, this.#bodyOf(request));
    const { traffic } = this;
    const name = NAMES[request.apiKey] ?? String(request.apiKey);
    traffic.requests.set(name, (traffic.requests.get(name) ?? 0) + 1);
    traffic.bytesOut += frame.length + 4;
    traffic.bytesIn += answer.length;
    traffic.largestAnswer = Math.max(traffic.largestAnswer, answer.length);
    traffic.playedUs += cpuUs() - startedUs;
    for (let at = 0; at < answer.length;) {
      const room = options.buffer();
      const size = Math.min(room.length, answer.length - at);
      room.set(answer.subarray(at, at + size));
      options.onRead(size);
      at += size;
    }
  }

  #bodyOf({ apiKey, reader }: RequestFrame): Buffer {
    switch (apiKey) {
      case API_VERSIONS:
        return apiVersionsBody(SPOKEN);
      case METADATA:
        return this.#metadata(reader);
      case LIST_OFFSETS:
        return this.#listOffsets(reader);
      case FIND_COORDINATOR:
        return this.#findCoordinator(reader);
      case LIST_GROUPS:
        return this.#listGroups();
      case OFFSET_FETCH:
        return this.#offsetFetch(reader);
      default:
        return this.#offsetCommit(reader);
    }
  }

  #metadata(reader: Reader): Buffer {
    const { brokers, replicas } = this.size;
    const asked = readArray(reader, () => {
      reader.uuid();
      const name = reader.compactNullableString();
      reader.skipTaggedFields();
      return name ?? '';
    });
    const writer = new Writer();
    writer.int32(0);
    writeArray(writer, range(brokers), (id) => {
      writer.int32(id);
      writer.compactString(`broker-${id}`);
      writer.int32(9092);
      writer.compactNullableString(null);
      writer.noTaggedFields();
    });
    writer.compactNullableString('estate');
    writer.int32(0);
    const topics = asked === null ? this.topics : this.topics.filter(({ name }) => asked.includes(name));
    writeArray(writer, topics, ({ name, topicId, partitions }) => {
      writer.int16(0);
      writer.compactNullableString(name);
      writer.uuid(topicId);
      writer.boolean(false);
      writeArray(writer, range(partitions), (partition) => {
        const leader = partition % brokers;
        const nodes = range(replicas).map((replica) => (leader + replica) % brokers);
        writer.int16(0);
        writer.int32(partition);
        writer.int32(leader);
        writer.int32(7);
        for (const each of [nodes, nodes, []]) writeArray(writer, each, (node) => writer.int32(node));
        writer.noTaggedFields();
      });
      writer.int32(-2_147_483_648);
      writer.noTaggedFields();
    });
    writer.noTaggedFields();
    return writer.finish();
  }

  #listOffsets(reader: Reader): Buffer {
    reader.int32();
    reader.int8();
    const topics = readArray(reader, () => {
      const name = reader.compactString();
      const partitions = readArray(reader, () => {
        const partition = reader.int32();
        reader.int32();
        const timestamp = reader.int64();
        reader.skipTaggedFields();
        return { partition, timestamp };
      });
      reader.skipTaggedFields();
      return { name, partitions: partitions ?? [] };
    });
    const writer = new Writer();
    writer.int32(0);
    writeArray(writer, topics ?? [], ({ name, partitions }) => {
      writer.compactString(name);
      writeArray(writer, partitions, ({ partition, timestamp }) => {
        writer.int32(partition);
        writer.int16(0);
        writer.int64(-1);
        writer.int64(timestamp === -2 ? 0 : this.end);
        writer.int32(7);
        writer.noTaggedFields();
      });
      writer.noTaggedFields();
    });
    writer.noTaggedFields();
    return writer.finish();
  }

  #findCoordinator(reader: Reader): Buffer {
    reader.int8();
    const keys = readArray(reader, () => reader.compactString());
    const writer = new Writer();
    writer.int32(0);
    writeArray(writer, keys ?? [], (key) => {
      const id = this.#coordinatorOf(key);
      writer.compactString(key);
      writer.int32(id);
      writer.compactString(`broker-${id}`);
      writer.int32(9092);
      writer.int16(0);
      writer.compactNullableString(null);
      writer.noTaggedFields();
    });
    writer.noTaggedFields();
    return writer.finish();
  }

  /** All that there are, from the first broker. */
  #listGroups(): Buffer {
    const writer = new Writer();
    writer.int32(0);
    writer.int16(0);
    writeArray(writer, this.hasCommits ? range(this.size.groups) : [], (group) => {
      writer.compactString(groupName(group));
      writer.compactString('consumer');
      writer.compactString('Empty');
      writer.noTaggedFields();
    });
    writer.noTaggedFields();
    return writer.finish();
  }

  #offsetFetch(reader: Reader): Buffer {
    const groups = readArray(reader, () => {
      const groupId = reader.compactString();
      readArray(reader, () => reader.skipTaggedFields()); // null: all topics
      reader.skipTaggedFields();
      return groupId;
    });
    const writer = new Writer();
    writer.int32(0);
    writeArray(writer, groups ?? [], (groupId) => {
      writer.compactString(groupId);
      writeArray(writer, this.hasCommits ? this.#topicsOf(groupId) : [], ({ name, partitions }) => {
        writer.compactString(name);
        writeArray(writer, range(partitions), (partition) => {
          writer.int32(partition);
          writer.int64(this.committed);
          writer.int32(-1);
          writer.compactNullableString('');
          writer.int16(0);
          writer.noTaggedFields();
        });
        writer.noTaggedFields();
      });
      writer.int16(0);
      writer.noTaggedFields();
    });
    writer.noTaggedFields();
    return writer.finish();
  }

  #offsetCommit(reader: Reader): Buffer {
    reader.compactString();
    reader.int32();
    reader.compactString();
    reader.compactNullableString();
    const topics = readArray(reader, () => {
      const name = reader.compactString();
      const partitions = readArray(reader, () => {
        const partition = reader.int32();
        reader.int64();
        reader.int32();
        reader.compactNullableString();
        reader.skipTaggedFields();
        return partition;
      });
      reader.skipTaggedFields();
      return { name, partitions: partitions ?? [] };
    });
    const writer = new Writer();
    writer.int32(0);
    writeArray(writer, topics ?? [], ({ name, partitions }) => {
      writer.compactString(name);
      writeArray(writer, partitions, (partition) => {
        writer.int32(partition);
        writer.int16(0);
        writer.noTaggedFields();
      });
      writer.noTaggedFields();
    });
    writer.noTaggedFields();
    return writer.finish();
  }

  #coordinatorOf(groupId: string): number {
    return Number(groupId.slice(groupId.lastIndexOf('-') + 1)) % this.size.brokers;
  }

  #topicsOf(groupId: string): EstateTopic[] {
    const first = Number(groupId.slice(groupId.lastIndexOf('-') + 1)) * this.size.topicsPerGroup;
    return range(this.size.topicsPerGroup).map((each) =>
      must(this.topics[(first + each) % this.topics.length], 'topic of the group'),
    );
  }
}

export function noTraffic(): Traffic {
  return { requests: new Map(), bytesOut: 0, bytesIn: 0, largestAnswer: 0, playedUs: 0 };
}

/** Processor time of this process, all threads. */
export function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

const groupName = (group: number): string => `application-with-a-name-${group}`;

/** Ids are random, as Kafka's are: nothing that is sent of them can be made shorter. */
function estateTopics({ topics, partitionsPerTopic }: EstateSize, random: Random): EstateTopic[] {
  return range(topics).map((topic) => ({
    name: `domain-${topic % 50}.team-${topic % 7}.event-type-${topic}`,
    topicId: Buffer.from(range(16).map(() => Math.floor(random.next() * 256))).toString('base64url'),
    partitions: partitionsPerTopic,
  }));
}

/** Null for null. */
function readArray<T>(reader: Reader, read: () => T): T[] | null {
  const length = reader.unsignedVarint();
  return length === 0 ? null : range(length - 1).map(read);
}

function writeArray<T>(writer: Writer, values: readonly T[], write: (value: T) => void): void {
  writer.unsignedVarint(values.length + 1);
  for (const value of values) write(value);
}
