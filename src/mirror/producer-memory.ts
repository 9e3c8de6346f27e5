/**
 * Whether the brokers of the target still know our producer when the next batch comes. A broker forgets one whose last batch
 * is older by its records' timestamps than producer.id.expiration.ms (ProducerStateManager.isProducerExpired), at a sweep of
 * which nobody hears; the next batch then has a free sequence. Where that may happen only one batch is on its way: of two, the
 * first may be refused for a passing reason and the second land in its place.
 */
import type { Clock } from '#util/clock.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { describeBrokerConfig } from '#kafka/configs.ts';
import { UnsupportedApiError } from '#kafka/errors.ts';
import { isDenied } from '#kafka/permissions.ts';

export const EXPIRATION = 'producer.id.expiration.ms';
/** Of brokers, where they do not say theirs (TransactionLogConfig). */
export const EXPIRATION_DEFAULT_MS = 86_400_000;

/** Batches of one process on their way to one partition, at most: a broker knows as many of a producer (ProducerStateEntry). */
export const IN_FLIGHT_MAX = 5;
/** Clocks that differ, and the time on the way. */
const SLACK_MS = 60_000;

/** How long a broker of the cluster remembers a producer, as of now; null where it does not say, or not to us. Throws KafkaError. */
export async function readExpiration(cluster: Cluster): Promise<number | null> {
  const broker = cluster.brokers()[0];
  if (broker === undefined) return null;
  try {
    const configs = await describeBrokerConfig(cluster, broker.id);
    const expirationMs = Number(configs.get(EXPIRATION)?.value ?? Number.NaN);
    return Number.isFinite(expirationMs) ? expirationMs : null;
  } catch (error) {
    if (!isDenied(error) && !(error instanceof UnsupportedApiError)) throw error;
    return null;
  }
}

/** A batch that left and was not answered yet. */
interface InFlight {
  readonly newestTimestamp: number;
}

export class ProducerMemory {
  readonly #clock: Clock;
  readonly #expirationMs: () => number;
  readonly #isStamped: boolean;
  /** Newest timestamp of the batch that was appended last; null where none was since the position was read. */
  #appended: number | null = null;

  /** With `timestamps: target` the broker knows a batch by the time of its append (LogValidator), however old its records are. */
  constructor(
    clock: Clock,
    { expirationMs, timestamps }: { expirationMs: () => number; timestamps: 'append' | 'producer' | 'target' },
  ) {
    this.#clock = clock;
    this.#expirationMs = expirationMs;
    this.#isStamped = timestamps === 'target';
  }

  /** The position was read: how old the last batch is, and whether the broker knows of it, is not known. */
  restart(): void {
    this.#appended = null;
  }

  onAppended(newestTimestamp: number): void {
    this.#appended = this.#timeOf(newestTimestamp);
  }

  /** Whether another batch may leave beside those that are on their way. */
  hasRoom(inFlight: readonly InFlight[]): boolean {
    return inFlight.length < this.inFlightMax(inFlight);
  }

  /** How many batches may be on their way to the partition; `inFlight` are the newest timestamps of those that are. */
  inFlightMax(inFlight: readonly InFlight[]): number {
    const remembered = this.#clock.now() - this.#expirationMs() + SLACK_MS;
    const isKept = (timestamp: number): boolean => timestamp > remembered;
    if (this.#appended === null || !isKept(this.#appended)) return 1;
    return inFlight.every(({ newestTimestamp }) => isKept(this.#timeOf(newestTimestamp))) ? IN_FLIGHT_MAX : 1;
  }

  #timeOf(newestTimestamp: number): number {
    return this.#isStamped ? this.#clock.now() : newestTimestamp;
  }
}
