import type { RunEvent } from '#contract/status.ts';
import { printableJson } from '#util/printable.ts';
import type { Io } from '../io.ts';
import type { Printer } from './printer.ts';

/** For programs: every event as one line of JSON on standard output; hints go to standard error. */
export class JsonPrinter implements Printer {
  readonly progressMs = 1_000;
  readonly #io: Io;

  constructor(io: Io) {
    this.#io = io;
  }

  note(text: string): void {
    this.#io.err(`${text}\n`);
  }

  print(event: RunEvent): void {
    this.#io.out(`${printableJson(event)}\n`);
  }
}
