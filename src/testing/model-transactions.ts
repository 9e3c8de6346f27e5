/**
 * A transaction coordinator for one ModelLog, as small as it can be and still do what Kafka's does to who relies on it
 * (TransactionCoordinator, TransactionMetadata): the end of a transaction is decided first and written later, what comes in
 * between is refused with 51; an identity that is not the current one is refused; EndTxn of the new protocol raises the
 * epoch, that of the old one leaves it; InitProducerId and a timeout abort what is open, wherever the log stands.
 */
import { must } from '#util/assert.ts';
import type {
  DescribedTransaction,
  ProducerIdentity,
  TransactionProtocol,
  TransactionStatus,
} from '#kafka/transactions.ts';
import type { ModelLog } from './model-log.ts';

const INVALID_PRODUCER_EPOCH = 47;
const INVALID_TXN_STATE = 48;
const CONCURRENT_TRANSACTIONS = 51;
const PRODUCER_FENCED = 90;
const PRODUCER_IDS_FROM = 9_000;

interface Transaction {
  producerId: number;
  producerEpoch: number;
  status: TransactionStatus;
  takesPart: boolean;
}

export class ModelTransactions {
  readonly log: ModelLog;
  readonly protocol: TransactionProtocol;
  /** Ends that InitProducerId and timeouts have written: none, for who does it right. */
  unasked = 0;
  /** The leader of the partition does not answer it. */
  isStuck = false;
  readonly #transactions = new Map<string, Transaction>();
  #nextProducerId = PRODUCER_IDS_FROM;

  constructor(log: ModelLog, options: { readonly protocol: TransactionProtocol }) {
    this.log = log;
    this.protocol = options.protocol;
  }

  init(id: string): { errorCode: number } & ProducerIdentity {
    const known = this.#transactions.get(id);
    if (known?.status.startsWith('Prepare')) return { errorCode: CONCURRENT_TRANSACTIONS, ...known };
    if (known?.status === 'Ongoing') this.#abort(known);
    const transaction: Transaction = known ?? {
      producerId: this.#nextProducerId++,
      producerEpoch: -1,
      status: 'Empty',
      takesPart: false,
    };
    this.#transactions.set(id, transaction);
    transaction.producerEpoch++;
    transaction.status = 'Empty';
    return { errorCode: 0, producerId: transaction.producerId, producerEpoch: transaction.producerEpoch };
  }

  add(id: string, producer: ProducerIdentity): number {
    const transaction = this.#transactions.get(id);
    const errorCode = refusal(transaction, producer);
    if (errorCode !== 0) return errorCode;
    must(transaction, 'transaction').status = 'Ongoing';
    must(transaction, 'transaction').takesPart = true;
    return 0;
  }

  produce(id: string, producer: ProducerIdentity, batch: Buffer): { errorCode: number; baseOffset: number } {
    const transaction = this.#transactions.get(id);
    const errorCode = refusal(transaction, producer);
    if (errorCode !== 0) return { errorCode, baseOffset: -1 };
    if (this.protocol === 'implicit') this.add(id, producer);
    if (!transaction?.takesPart) return { errorCode: INVALID_TXN_STATE, baseOffset: -1 };
    return this.log.append(batch, { isTransactional: true });
  }

  end(id: string, producer: ProducerIdentity, isCommit: boolean): { errorCode: number } & ProducerIdentity {
    const transaction = this.#transactions.get(id);
    if (transaction && this.#isDecided(transaction, producer, isCommit))
      return {
        errorCode: transaction.status.startsWith('Prepare') ? CONCURRENT_TRANSACTIONS : 0,
        ...identityOf(transaction),
      };
    const errorCode = refusal(transaction, producer) || (transaction?.status === 'Ongoing' ? 0 : INVALID_TXN_STATE);
    if (errorCode !== 0 || !transaction) return { errorCode, ...producer };
    transaction.status = isCommit ? 'PrepareCommit' : 'PrepareAbort';
    if (this.protocol === 'implicit') transaction.producerEpoch++;
    return { errorCode: 0, ...identityOf(transaction) };
  }

  /**
   * The same decision once more is no fault, and with KIP-890 it comes with the epoch before
   * (TransactionCoordinator.endTransaction).
   */
  #isDecided(transaction: Transaction, { producerId, producerEpoch }: ProducerIdentity, isCommit: boolean): boolean {
    const epoch = this.protocol === 'implicit' ? transaction.producerEpoch - 1 : transaction.producerEpoch;
    const isSame = transaction.producerId === producerId && epoch === producerEpoch;
    return isSame && transaction.status.endsWith(isCommit ? 'Commit' : 'Abort');
  }

  describe(id: string): DescribedTransaction | null {
    const transaction = this.#transactions.get(id);
    if (!transaction) return null;
    const { producerId, producerEpoch, status, takesPart } = transaction;
    const partitions = takesPart ? ['copy/0'] : [];
    return { producerId, producerEpoch, status, timeoutMs: 900_000, startedAtMs: -1, partitions };
  }

  /** Writes the ends that were decided, unless it is stuck. */
  settle(): void {
    if (this.isStuck) return;
    for (const transaction of this.#transactions.values()) {
      if (!transaction.status.startsWith('Prepare')) continue;
      const isCommit = transaction.status === 'PrepareCommit';
      if (transaction.takesPart) this.log.appendEnd(transaction, isCommit);
      transaction.status = isCommit ? 'CompleteCommit' : 'CompleteAbort';
      transaction.takesPart = false;
    }
  }

  /** What is open has been for too long: all, or that of one id. */
  expire(id?: string): void {
    for (const [each, transaction] of this.#transactions) {
      const isMeant = id === undefined || each === id;
      if (isMeant && transaction.status === 'Ongoing') this.#abort(transaction);
    }
  }

  #abort(transaction: Transaction): void {
    this.unasked++;
    transaction.producerEpoch++;
    transaction.status = 'PrepareAbort';
    this.settle();
  }
}

function identityOf({ producerId, producerEpoch }: Transaction): ProducerIdentity {
  return { producerId, producerEpoch };
}

function refusal(transaction: Transaction | undefined, producer: ProducerIdentity): number {
  if (!transaction || transaction.producerId !== producer.producerId) return PRODUCER_FENCED;
  if (transaction.producerEpoch !== producer.producerEpoch) return INVALID_PRODUCER_EPOCH;
  return transaction.status.startsWith('Prepare') ? CONCURRENT_TRANSACTIONS : 0;
}
