/** What the server does by itself from time to time: each thing on its own, and one that fails is tried again the next time. */
import type { ServerPorts } from './ports.ts';

export interface Chore {
  /** For the log: `backup`. */
  readonly name: string;
  readonly everyMs: number;
  run(): Promise<void>;
}

export class Chores {
  readonly #ports: Pick<ServerPorts, 'clock' | 'log'>;
  readonly #cancels = new Map<string, () => void>();
  #isClosed = false;

  constructor(ports: Pick<ServerPorts, 'clock' | 'log'>, chores: readonly Chore[]) {
    this.#ports = ports;
    for (const chore of chores) this.#schedule(chore);
  }

  close(): void {
    this.#isClosed = true;
    for (const cancel of this.#cancels.values()) cancel();
  }

  #schedule(chore: Chore): void {
    if (this.#isClosed) return;
    const { clock, log } = this.#ports;
    const cancel = clock.schedule(chore.everyMs, () => {
      void chore
        .run()
        .catch((error: unknown) => log({ message: `${chore.name} failed`, requestId: null, error }))
        .then(() => this.#schedule(chore));
    });
    this.#cancels.set(chore.name, cancel);
  }
}
