/**
 * Questions of one kind to one broker. It serves one request of a connection at a time (SocketServer), so what is asked
 * while one is on its way loses nothing by waiting for the answer, and goes with everything else that waits in the next.
 */
import { must } from '#util/assert.ts';
import { ConnectionError } from './errors.ts';

/** Of a request; one for 10,000 partitions takes 3 ms to make. */
const QUESTIONS_MAX = 10_000;

interface GathererOptions<Question, Answer> {
  /** One request. An answer for each question, in their order. */
  request(questions: readonly Question[]): Promise<readonly Answer[]>;
  /** Two questions of the same key cannot be in one request, */
  keyOf(question: Question): string;
  /** unless they are the same: then one answer is for both. */
  isSame(one: Question, other: Question): boolean;
}

interface Waiting<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

type Same<Question, Answer> = [Waiting<Question, Answer>, ...Waiting<Question, Answer>[]];

export class Gatherer<Question, Answer> {
  readonly #options: GathererOptions<Question, Answer>;
  #waiting: Waiting<Question, Answer>[] = [];
  #isAsking = false;

  constructor(options: GathererOptions<Question, Answer>) {
    this.#options = options;
  }

  /** What came of each question, in their order: the request of one may fail while that of another does not. */
  ask(questions: readonly Question[]): Promise<PromiseSettledResult<Answer>[]> {
    const answers = questions.map((question) => {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      this.#waiting.push({ question, resolve, reject });
      return promise;
    });
    if (!this.#isAsking) void this.#run();
    return Promise.allSettled(answers);
  }

  async #run(): Promise<void> {
    this.#isAsking = true;
    while (this.#waiting.length > 0) {
      const asked = this.#take();
      try {
        const answers = await this.#options.request(asked.map(([first]) => first.question));
        for (const [i, same] of asked.entries())
          for (const { resolve } of same) resolve(must(answers[i], 'an answer for each question'));
      } catch (error) {
        // What waits behind it would have been on the same connection.
        const behind = error instanceof ConnectionError ? this.#waiting.splice(0) : [];
        for (const { reject } of [...asked.flat(), ...behind]) reject(error);
      }
    }
    this.#isAsking = false;
  }

  /** Those who wait for the same have all asked before it is sent: the answer is as new for each of them. */
  #take(): Same<Question, Answer>[] {
    const taken = new Map<string, Same<Question, Answer>>();
    const left: Waiting<Question, Answer>[] = [];
    for (const each of this.#waiting) {
      const key = this.#options.keyOf(each.question);
      const same = taken.get(key);
      if (!same && taken.size < QUESTIONS_MAX) taken.set(key, [each]);
      else if (same && this.#options.isSame(same[0].question, each.question)) same.push(each);
      else left.push(each);
    }
    this.#waiting = left;
    return [...taken.values()];
  }
}
