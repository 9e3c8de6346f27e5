/**
 * A transaction coordinator for one ModelLog, as small as it can be and still do what Kafka's does to who relies on it
 * (TransactionCoordinator, TransactionMetadata): the end of a transaction is decided first and written later, who asks the
 * coordinator in between is refused with 51; an identity that is not the current one is refused; EndTxn of the new protocol raises the
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

const NOT_ENOUGH_REPLICAS = 19;
const INVALID_PRODUCER_EPOCH = 47;
const INVALID_TXN_STATE = 48;
const INVALID_PRODUCER_ID_MAPPING = 49;
const CONCURRENT_TRANSACTIONS = 51;
const PRODUCER_FENCED = 90;
const TRANSACTION_ABORTABLE = 120;
const PRODUCER_IDS_FROM = 9_000;
const NOBODY: ProducerIdentity = { producerId: -1, producerEpoch: -1 };

interface Transaction {
  producerId: number;
  producerEpoch: number;
  /** That of who has ended the last one, where the end has raised it; else −1. */
  lastProducerEpoch: number;
  status: TransactionStatus;
  takesPart: boolean;
}

export class ModelTransactions {
  readonly log: ModelLog;
  readonly protocol: TransactionProtocol;
  /** Ends that InitProducerId and timeouts have written: none, for who does it right. */
  unasked = 0;
  /** The leader of the partition has not taken over yet: it writes no end, and says nothing of that. */
  losesEnds = false;
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
      lastProducerEpoch: -1,
      status: 'Empty',
      takesPart: false,
    };
    this.#transactions.set(id, transaction);
    transaction.producerEpoch++;
    transaction.lastProducerEpoch = -1;
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

  /**
   * The leader of the partition asks the coordinator only about who has nothing open in its log, so what comes late, after
   * the end was decided and before its marker, still takes part (ReplicaManager.handleProduceAppend).
   */
  produce(id: string, producer: ProducerIdentity, batch: Buffer): { errorCode: number; baseOffset: number } {
    const isOpen = this.log.isOpen(producer);
    const errorCode = isOpen ? 0 : this.log.askToTakePart(producer, batch) || this.#verification(id, producer);
    if (errorCode !== 0) return { errorCode, baseOffset: -1 };
    return this.log.append(batch, { isTransactional: true, isImplicit: this.protocol === 'implicit' });
  }

  /** What the coordinator says, in words that a producer knows. */
  #verification(id: string, producer: ProducerIdentity): number {
    const isImplicit = this.protocol === 'implicit';
    const transaction = this.#transactions.get(id);
    const errorCode = isImplicit ? this.add(id, producer) : refusal(transaction, producer);
    if (errorCode === PRODUCER_FENCED) return INVALID_PRODUCER_EPOCH;
    if (errorCode === CONCURRENT_TRANSACTIONS && !isImplicit) return NOT_ENOUGH_REPLICAS;
    return errorCode === 0 && !transaction?.takesPart ? TRANSACTION_ABORTABLE : errorCode;
  }

  /** TransactionCoordinator.endTransaction and endTransactionWithTV1. */
  end(id: string, producer: ProducerIdentity, isCommit: boolean): { errorCode: number } & ProducerIdentity {
    const transaction = this.#transactions.get(id);
    if (!transaction || transaction.producerId !== producer.producerId)
      return { errorCode: INVALID_PRODUCER_ID_MAPPING, ...NOBODY };
    const { status } = transaction;
    if (this.#isDecided(transaction, producer)) {
      const isSame = status.endsWith(isCommit ? 'Commit' : 'Abort');
      const errorCode = !isSame ? INVALID_TXN_STATE : isPrepared(transaction) ? CONCURRENT_TRANSACTIONS : 0;
      return { errorCode, ...(errorCode === 0 ? identityOf(transaction) : NOBODY) };
    }
    const isRaised = this.protocol === 'implicit' && isPrepared(transaction);
    if (transaction.producerEpoch !== producer.producerEpoch || isRaised)
      return { errorCode: PRODUCER_FENCED, ...NOBODY };
    // With KIP-890 nothing may be aborted: who does not know whether a batch of it took part is sure afterwards.
    const isAborted = this.protocol === 'implicit' && !isCommit;
    if (status !== 'Ongoing' && !isAborted) return { errorCode: INVALID_TXN_STATE, ...NOBODY };
    transaction.status = isCommit ? 'PrepareCommit' : 'PrepareAbort';
    if (this.protocol === 'implicit') transaction.lastProducerEpoch = transaction.producerEpoch++;
    return { errorCode: 0, ...identityOf(transaction) };
  }

  /** The end was asked for before: with KIP-890 by the epoch before (TransactionCoordinator.endTxnEpochBumped). */
  #isDecided(transaction: Transaction, { producerEpoch }: ProducerIdentity): boolean {
    const { status, lastProducerEpoch } = transaction;
    const isEnding = isPrepared(transaction) || status.startsWith('Complete');
    const epoch = this.protocol === 'implicit' ? lastProducerEpoch : transaction.producerEpoch;
    return isEnding && epoch === producerEpoch;
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
      if (transaction.takesPart && !this.losesEnds)
        this.log.appendEnd(transaction, isCommit, this.protocol === 'implicit');
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

  /** Another broker leads its log from now on, in which the ends that were decided last are missing. */
  forget(): void {
    for (const transaction of this.#transactions.values()) {
      if (!transaction.status.startsWith('Complete')) continue;
      transaction.status = 'Ongoing';
      transaction.takesPart = true;
      if (this.protocol === 'implicit') transaction.producerEpoch--;
      transaction.lastProducerEpoch = -1;
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

function isPrepared({ status }: Transaction): boolean {
  return status.startsWith('Prepare');
}

function refusal(transaction: Transaction | undefined, producer: ProducerIdentity): number {
  if (!transaction || transaction.producerId !== producer.producerId) return INVALID_PRODUCER_ID_MAPPING;
  if (transaction.producerEpoch !== producer.producerEpoch) return PRODUCER_FENCED;
  return isPrepared(transaction) ? CONCURRENT_TRANSACTIONS : 0;
}
