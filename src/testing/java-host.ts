/** One JVM for the short questions of a thread of tests: to start one for each cost half of the time of all of them. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Socket } from 'node:net';
import { z } from 'zod';
import { must } from '#util/assert.ts';
import { spawnJava } from './java.ts';

/** What the clients have logged is shown with an error, its end at least. */
const LOGGED_MAX = 20_000;

const answerSchema = z.object({ id: z.number(), out: z.string().optional(), error: z.string().optional() });

interface Question {
  readonly tool: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (out: string) => void;
  readonly reject: (error: Error) => void;
}

export class JavaHost {
  readonly #child: ChildProcess;
  readonly #questions = new Map<number, Question>();
  #count = 0;
  #logged = '';
  #isGone = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    const stderr = must(child.stderr, 'standard error of a JVM');
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#logged = (this.#logged + text).slice(-LOGGED_MAX);
    });
    createInterface(must(child.stdout, 'standard output of a JVM')).on('line', (line) => this.#onAnswer(line));
    must(child.stdin, 'standard input of a JVM').on('error', () => {}); // its end is told by 'exit'
    child.once('error', (error) => this.#onGone(error.message));
    child.once('exit', (code, signal) => this.#onGone(`it ended with ${code ?? signal}`));
    this.#hold(false);
  }

  static async start(heapMb: number): Promise<JavaHost> {
    return new JavaHost(await spawnJava('ToolHost', [], { heapMb }));
  }

  /** It takes no more questions. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /**
   * Runs the `main` of a tool with one argument and returns what it printed. Throws with the tool's own words when it
   * failed, and when it has not ended within `timeoutMs`: then the JVM, with what still runs in it, is for nobody else.
   */
  ask(tool: string, argument: string, timeoutMs: number): Promise<string> {
    const id = this.#count++;
    this.#hold(true);
    return new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.retire();
        this.#settle(id)?.reject(this.#failed(tool, `${argument} did not end within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#questions.set(id, { tool, timer, resolve, reject });
      must(this.#child.stdin, 'standard input of a JVM').write(`${JSON.stringify({ id, tool, argument })}\n`);
    });
  }

  /** It ends when what was asked is answered. */
  retire(): void {
    this.#isGone = true;
    this.#child.stdin?.end();
  }

  #onAnswer(line: string): void {
    const { id, out, error } = answerSchema.parse(JSON.parse(line));
    const question = this.#settle(id);
    if (error === undefined) question?.resolve(must(out, 'output of a tool'));
    else question?.reject(this.#failed(question.tool, error.trimEnd()));
  }

  #onGone(why: string): void {
    this.#isGone = true;
    for (const [id, { tool, reject }] of this.#questions) {
      this.#settle(id);
      reject(this.#failed(tool, `its JVM is gone, ${why}`));
    }
  }

  #failed(tool: string, why: string): Error {
    return new Error(`${tool} failed: ${why}\n${this.#logged}`);
  }

  #settle(id: number): Question | undefined {
    const question = this.#questions.get(id);
    if (question) clearTimeout(question.timer);
    this.#questions.delete(id);
    if (this.#questions.size === 0) this.#hold(false);
    return question;
  }

  /** Only a question keeps the program that asks alive. */
  #hold(isHeld: boolean): void {
    const { stdin, stdout, stderr } = this.#child;
    for (const each of [this.#child, ...([stdin, stdout, stderr] as (Socket | null)[])])
      if (isHeld) each?.ref();
      else each?.unref();
  }
}
