/** The terminal while the view is shown: alternate screen, no cursor, keys one by one; as it was before on every way out. */
import type { ReadStream, WriteStream } from 'node:tty';

const ENTER = '\u001B[?1049h\u001B[?25l';
const LEAVE = '\u001B[?25h\u001B[?1049l';
const HOME = '\u001B[H';
const CLEAR_TO_LINE_END = '\u001B[K';
const CLEAR_BELOW = '\u001B[J';
/** Synchronised output: terminals that know it show a picture only when it is complete. */
const BEGIN = '\u001B[?2026h';
const END = '\u001B[?2026l';

export class Screen {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  readonly #onExit = (): void => this.close();
  #onData: ((chunk: Buffer) => void) | null = null;
  #isOpen = false;

  constructor(input: ReadStream, output: WriteStream) {
    this.#input = input;
    this.#output = output;
  }

  get columns(): number {
    return this.#output.columns || 80;
  }

  get rows(): number {
    return this.#output.rows || 24;
  }

  /** `onKey` gets each key; Ctrl-C is `\u0003` here, no signal. */
  open(onKey: (key: string) => void, onResize: () => void): void {
    this.#isOpen = true;
    process.once('exit', this.#onExit); // also after an error that nobody caught
    this.#output.write(ENTER);
    this.#output.on('resize', onResize);
    this.#input.setRawMode(true);
    this.#onData = (chunk) => {
      for (const key of chunk.toString()) onKey(key);
    };
    this.#input.on('data', this.#onData);
    this.#input.resume();
  }

  /** One write for a whole picture, over the last one: nothing is cleared first, so nothing flickers. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    const picture = lines.map((line) => `${line}${CLEAR_TO_LINE_END}`).join('\r\n');
    this.#output.write(`${BEGIN}${HOME}${picture}${CLEAR_BELOW}${END}`);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off('exit', this.#onExit);
    this.#output.removeAllListeners('resize');
    if (this.#onData) this.#input.off('data', this.#onData);
    this.#input.setRawMode(false);
    this.#input.pause();
    this.#output.write(LEAVE);
  }
}
