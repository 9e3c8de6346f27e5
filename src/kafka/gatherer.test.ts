/** What goes together in a request, and what a failure means for whom. */
import { describe, expect, test } from 'vitest';
import { settle } from '#testing/manual-clock.ts';
import { BrokerError, ConnectionError } from './errors.ts';
import { Gatherer } from './gatherer.ts';

const lost = new ConnectionError('closed', 'broker:9092', 'broker:9092: reset', { definite: false });
const refused = new BrokerError({ code: 41, name: 'NOT_CONTROLLER', retryable: true }, 'ListOffsets', 'orders/0');

/** Requests wait until they are answered by hand, with each question in upper case. Those of the same letter have the same key. */
function start() {
  const requests: { questions: readonly string[]; answer: () => void; fail: (error: Error) => void }[] = [];
  const gatherer = new Gatherer<string, string>({
    keyOf: (question) => question.slice(0, 1),
    isSame: (one, other) => one === other,
    request: (questions) =>
      new Promise((resolve, reject) => {
        const answer = (): void => resolve(questions.map((each) => each.toUpperCase()));
        requests.push({ questions, answer, fail: reject });
      }),
  });
  return { gatherer, requests, asked: () => requests.map(({ questions }) => questions.join('')) };
}

describe('questions', () => {
  test('that are asked while a request is on its way go together in the next, each with its own answer', async () => {
    const { gatherer, requests, asked } = start();
    const answers = 'abcdef'.split('').map((question) => gatherer.ask([question]));
    const several = gatherer.ask(['h', 'g']);
    expect(asked()).toEqual(['a']);
    requests[0]!.answer();
    await settle();
    expect(asked()).toEqual(['a', 'bcdefhg']);
    requests[1]!.answer();
    expect((await Promise.all(answers)).flat().map(valueOf).join('')).toBe('ABCDEF');
    expect((await several).map(valueOf)).toEqual(['H', 'G']);
    await settle();
    expect(requests.length).toBe(2);
  });

  test('with the same key go in requests of their own', async () => {
    const { gatherer, requests, asked } = start();
    const answers = ['x', 'a1', 'a2', 'b', 'a3'].map((question) => gatherer.ask([question]));
    for (let i = 0; i < 4; i++) {
      requests[i]!.answer();
      await settle();
    }
    expect(asked()).toEqual(['x', 'a1b', 'a2', 'a3']);
    expect((await Promise.all(answers)).flat().map(valueOf)).toEqual(['X', 'A1', 'A2', 'B', 'A3']);
  });

  test('that are the same share an answer, but for one that was asked behind the request', async () => {
    const { gatherer, requests, asked } = start();
    const answers = ['a', 'a', 'a', 'b', 'a'].map((question) => gatherer.ask([question]));
    requests[0]!.answer();
    await settle();
    requests[1]!.answer();
    expect((await Promise.all(answers)).flat().map(valueOf).join('')).toBe('AAABA');
    expect(asked()).toEqual(['a', 'ab']);
  });
});

describe('a failure', () => {
  test('of the connection is that of all who wait behind it, and of nobody who asks later', async () => {
    const { gatherer, requests, asked } = start();
    const answers = 'abc'.split('').map((question) => gatherer.ask([question]));
    requests[0]!.fail(lost);
    expect((await Promise.all(answers)).flat().map(valueOf)).toEqual([lost, lost, lost]);
    const later = gatherer.ask(['d']);
    expect(asked()).toEqual(['a', 'd']);
    requests[1]!.answer();
    expect((await later).map(valueOf)).toEqual(['D']);
  });

  test('that the broker answers with is that of its own request', async () => {
    const { gatherer, requests, asked } = start();
    const answers = [['a'], ['b'], ['c1', 'c2']].map((questions) => gatherer.ask(questions));
    requests[0]!.fail(refused);
    await settle();
    expect(asked()).toEqual(['a', 'bc1']);
    requests[1]!.answer();
    await settle();
    requests[2]!.fail(refused);
    expect((await Promise.all(answers)).flat().map(valueOf)).toEqual([refused, 'B', 'C1', refused]);
  });
});

function valueOf(outcome: PromiseSettledResult<string>): unknown {
  return outcome.status === 'fulfilled' ? outcome.value : outcome.reason;
}
