/** What a fault proxy does to which bytes, and how often it has. */
import type { Random } from '#util/random.ts';
import type { Direction } from './frame-splitter.ts';

/** Keys of the requests that a mirror sends, by Kafka's names. */
export const apiKeys = {
  Produce: 0,
  Fetch: 1,
  ListOffsets: 2,
  Metadata: 3,
  OffsetCommit: 8,
  OffsetFetch: 9,
  FindCoordinator: 10,
  JoinGroup: 11,
  Heartbeat: 12,
  LeaveGroup: 13,
  SyncGroup: 14,
  SaslHandshake: 17,
  ApiVersions: 18,
  CreateTopics: 19,
  DeleteRecords: 21,
  InitProducerId: 22,
  OffsetForLeaderEpoch: 23,
  AddPartitionsToTxn: 24,
  EndTxn: 26,
  WriteTxnMarkers: 27,
  DescribeConfigs: 32,
  SaslAuthenticate: 36,
  IncrementalAlterConfigs: 44,
  DescribeProducers: 61,
  DescribeTransactions: 65,
} as const;

export type ApiName = keyof typeof apiKeys;

/** Everything that is named must fit. Without `api`, `topic`, `nth` and `probability` it means all bytes. */
export interface Match {
  /** As numbered by the proxy, from 1. */
  readonly connection?: number;
  /** Whole frames of one of these requests, or their responses. */
  readonly api?: ApiName | readonly ApiName[];
  /** Default: both. */
  readonly direction?: Direction;
  /** Frames that contain the topic's name, or its id (22 characters): Fetch names topics by id. */
  readonly topic?: string;
  /** Of the frames that fit the rest, counted from 1 since the rule was set. */
  readonly nth?: number | readonly number[];
  /** 0 to 1, drawn from the proxy's seed. */
  readonly probability?: number;
}

/** A whole frame, as it is known when it comes. */
export interface FrameHead {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
}

/** What a lane is about to pass on. A fault changes the fields that are not readonly. */
export interface Passage {
  readonly connection: number;
  readonly direction: Direction;
  /** Null for bytes that are no whole frame: encrypted ones, the rest of a frame begun before the first rule, the end. */
  readonly head: FrameHead | null;
  /** The sender has closed its side: no bytes. */
  readonly isEnd: boolean;
  /** With the length of the frame. */
  bytes: Buffer;
  /** It leaves `delayMs` after it has come, or later. */
  delayMs: number;
  /** It leaves when all of these are settled. */
  readonly gates: Promise<unknown>[];
  /** Bytes of the next piece that is written by itself; null: everything at once. */
  pieceBytes: (() => number) | null;
  /** The pause before a piece of so many bytes. */
  pieceDelayMs: ((bytes: number) => number) | null;
  /** Is called when the bytes have left. */
  after: (() => void) | null;
}

/** What a fault can do beyond the bytes themselves. */
export interface FaultScene {
  readonly random: Random;
  /** Settles when the rule ends. */
  readonly ended: Promise<void>;
  /** Sends RST to both sides; what is queued is lost. */
  reset(): void;
  /** Passes nothing more in the direction of the passage, its end neither. */
  silence(): void;
  /** Closes one side and keeps the other open, with nobody behind it, until `reset`. */
  close(side: 'client' | 'broker'): void;
}

export interface Fault {
  readonly name: string;
  /** Returns whether it took effect. */
  apply(passage: Passage, scene: FaultScene): boolean;
}

export interface RuleOptions {
  readonly match: Match;
  readonly fault: Fault;
  /** For the journal. Default: the fault's name. */
  readonly name?: string;
  /** Effects after which nothing more is matched; what is held stays held until the rule ends. Default: no limit. */
  readonly times?: number;
  /** The rule ends when this settles. */
  readonly until?: Promise<unknown>;
}

const firedTimeoutMs = 60_000;

export class FaultRule {
  readonly name: string;
  /** Settles when the rule has ended. */
  readonly ended: Promise<void>;
  readonly #options: RuleOptions;
  readonly #nth: ReadonlySet<number> | null;
  readonly #apis: ReadonlySet<number> | null;
  readonly #needles: readonly Buffer[];
  #onEnd: () => void = () => {};
  #hasEnded = false;
  #fits = 0;
  #count = 0;
  readonly #waiting: { readonly count: number; resolve(): void }[] = [];

  constructor(options: RuleOptions) {
    const { match, fault, until } = options;
    this.#options = options;
    this.name = options.name ?? fault.name;
    this.#nth = match.nth === undefined ? null : new Set([match.nth].flat());
    this.#apis = match.api === undefined ? null : new Set([match.api].flat().map((name) => apiKeys[name]));
    this.#needles = match.topic === undefined ? [] : needlesOf(match.topic);
    this.ended = new Promise((resolve) => {
      this.#onEnd = resolve;
    });
    void until?.then(
      () => this.end(),
      () => this.end(),
    );
  }

  /** It may still take effect. */
  get isActive(): boolean {
    return !this.#hasEnded && this.#count !== this.#options.times;
  }

  /** Effects so far. */
  get count(): number {
    return this.#count;
  }

  /** Nothing more is matched; what the rule holds is let go. May be called again. */
  end(): void {
    this.#hasEnded = true;
    this.#onEnd();
  }

  /** Resolves when the fault has taken effect `count` times in all; throws after `timeoutMs`. */
  fired(count = 1, options: { timeoutMs?: number } = {}): Promise<void> {
    const { timeoutMs = firedTimeoutMs } = options;
    if (this.#count >= count) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`fault "${this.name}" took effect ${this.#count} times in ${timeoutMs} ms, not ${count}`));
      }, timeoutMs);
      this.#waiting.push({
        count,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      });
    });
  }

  /** Applies the fault when the passage fits. Returns whether it took effect. */
  apply(passage: Passage, scene: FaultScene): boolean {
    if (!this.isActive || !this.#matches(passage, scene.random)) return false;
    if (!this.#options.fault.apply(passage, scene)) return false;
    this.#count++;
    for (const waiting of this.#waiting) if (waiting.count <= this.#count) waiting.resolve();
    return true;
  }

  #matches(passage: Passage, random: Random): boolean {
    const { connection, direction, probability } = this.#options.match;
    if (connection !== undefined && connection !== passage.connection) return false;
    if (direction !== undefined && direction !== passage.direction) return false;
    if (this.#apis !== null && (passage.head === null || !this.#apis.has(passage.head.apiKey))) return false;
    if (this.#needles.length > 0 && !this.#needles.some((needle) => passage.bytes.includes(needle))) return false;
    this.#fits++;
    if (this.#nth !== null && !this.#nth.has(this.#fits)) return false;
    return probability === undefined || random.next() < probability;
  }
}

/** A name as both kinds of strings end it would also be found inside a longer one: topics of a test differ enough. */
function needlesOf(topic: string): Buffer[] {
  const id = Buffer.from(topic, 'base64url');
  return topic.length === 22 && id.length === 16 ? [Buffer.from(topic), id] : [Buffer.from(topic)];
}
