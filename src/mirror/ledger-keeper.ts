/**
 * Keeps the saved ledger of a mapped partition ahead of what is sent: a record behind a gap waits until all that was
 * accounted for before it is in the state topic. Now and then it saves what nothing waits for, and forgets what the target
 * has lost.
 */
import { must } from '#util/assert.ts';
import type { Clock } from '#util/clock.ts';
import { KafkaError } from '#kafka/errors.ts';
import type { Permit } from '#kafka/permit.ts';
import type { MappedState, MappedStore } from './mapped-state.ts';

/** What is not needed to go on exactly is saved as often: it keeps what a restart has to read again small. */
const SAVE_MS = 10_000;
/** As often the target's log start is asked for, below which the ledger is forgotten. */
const TRIM_MS = 60_000;

export interface LedgerPort {
  readonly clock: Clock;
  readonly store: MappedStore;
  readonly permit: Permit;
  /** Of what is being copied; null while nothing is, and another one with each time that copying begins. */
  copying(): object | null;
  /** What was held may be sent. */
  onReleased(): void;
  /** A save has failed: KafkaError, WithheldError, AppError. */
  onFailed(error: unknown): void;
  /** Nothing is being saved any more. */
  onIdle(): void;
  /** Log starts of both sides, and how many records of ours are on the target. Throws KafkaError. */
  readLogs(): Promise<Parameters<MappedState['trim']>[0]>;
}

export class LedgerKeeper {
  readonly #port: LedgerPort;
  #mapped: MappedState | null = null;
  /** Records from this ordinal on wait until the ledger is saved; and what was met while it is being saved. */
  #heldFrom = Infinity;
  #heldNext = Infinity;
  /** What lies behind the end of the saved ledger is no record: the next one is behind a gap. */
  #isBehindGap = false;
  #saving: Promise<boolean> | null = null;
  #cancel: (() => void) | null = null;
  #trimmedMs = -Infinity;

  constructor(port: LedgerPort) {
    this.#port = port;
  }

  get isSaving(): boolean {
    return this.#saving !== null;
  }

  /** A state that was read, and, with `isBehindGap`, has less than was saved. */
  begin(mapped: MappedState, { isBehindGap }: { readonly isBehindGap: boolean }): void {
    this.#mapped = mapped;
    this.#isBehindGap = isBehindGap;
    this.#heldFrom = this.#heldNext = Infinity;
  }

  /** Offsets that hold no record for the target were accounted for. */
  passGap(): void {
    this.#isBehindGap = true;
  }

  /** The next record was accounted for: whether it has to wait is decided here. */
  passRecord(ordinal: number): void {
    if (!this.#isBehindGap) return;
    this.#isBehindGap = false;
    if (this.#saving) this.#heldNext = Math.min(this.#heldNext, ordinal);
    else this.#heldFrom = Math.min(this.#heldFrom, ordinal);
  }

  mayLeave(ordinal: number): boolean {
    return ordinal < this.#heldFrom;
  }

  /** Where something waits for it, what is accounted for is saved. */
  saveHeld(): void {
    if (this.#heldFrom < Infinity && !this.#saving) void this.#start();
  }

  /** Everything that is known now is in the state topic; false where it could not be written. */
  async saveAll(): Promise<boolean> {
    while (this.#saving) await this.#saving;
    return this.#start();
  }

  #start(): Promise<boolean> {
    this.#saving = this.#save();
    return this.#saving;
  }

  async #save(): Promise<boolean> {
    const { store, permit } = this.#port;
    try {
      do {
        this.#heldNext = Infinity;
        await must(this.#mapped, 'state').save(store, permit);
        this.#heldFrom = this.#heldNext;
        this.#port.onReleased();
      } while (this.#heldFrom < Infinity && this.#port.copying());
      return true;
    } catch (error) {
      this.#port.onFailed(error);
      return false;
    } finally {
      this.#saving = null; // in the turn in which the last look at what is held was taken
      this.#port.onIdle();
    }
  }

  /** Now and then also what nothing waits for: gaps behind the last record, and where records lie in a shared target. */
  keep(): void {
    this.#cancel?.();
    this.#cancel = this.#port.clock.schedule(SAVE_MS, () => {
      if (!this.#port.copying()) return;
      void this.#trim();
      if (!this.#saving) void this.#start();
      this.keep();
    });
  }

  stop(): void {
    this.#cancel?.();
  }

  /** What the target has lost is forgotten, and with the next save in the state topic too. */
  async #trim(): Promise<void> {
    const { clock } = this.#port;
    const mapped = must(this.#mapped, 'state');
    const copying = this.#port.copying();
    if (!mapped.isLong || clock.monotonic() - this.#trimmedMs < TRIM_MS) return;
    this.#trimmedMs = clock.monotonic();
    try {
      const logs = await this.#port.readLogs();
      if (copying && this.#port.copying() === copying) mapped.trim(logs);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error; // asked again: nothing hangs on it but memory
    }
  }
}
