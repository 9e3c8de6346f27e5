import { expect, test } from 'vitest';
import { AppError } from '#contract/errors.ts';
import {
  BrokerError,
  ClusterIdChangedError,
  ClusterUnreachableError,
  ConnectionError,
  MalformedBatchError,
  MalformedFrameError,
  UnsupportedApiError,
} from '#kafka/errors.ts';
import { toAppError } from './app-error.ts';

const metadata = { name: 'Metadata', key: 3, minVersion: 12, maxVersion: 13 };
const refused = new ConnectionError('refused', 'a:1', 'a:1: nobody listens', { definite: true });
const damaged = new ConnectionError('closed', 'a:1', 'a:1 sent bytes that are no Kafka response', {
  definite: true,
  cause: new MalformedFrameError('a length of -1 bytes'),
});
const tls = new ConnectionError('not-kafka', 'a:1', 'a:1 speaks TLS', { definite: true });

test.each([
  [refused, 'CLUSTER_UNREACHABLE', 'cluster "east": a:1: nobody listens'],
  [
    new ClusterUnreachableError('east', [refused]),
    'CLUSTER_UNREACHABLE',
    'no address of cluster "east" answers: a:1: nobody listens (refused)',
  ],
  [
    new ClusterUnreachableError('east', [refused, tls]),
    'CLUSTER_NOT_KAFKA',
    'no address of cluster "east" answers: a:1: nobody listens (refused); a:1 speaks TLS (not-kafka)',
  ],
  [tls, 'CLUSTER_NOT_KAFKA', 'cluster "east": a:1 speaks TLS'],
  [
    new UnsupportedApiError(metadata, 'a:1', undefined),
    'CLUSTER_NOT_KAFKA',
    'cluster "east": a:1 is a controller, not a broker: it does not know Metadata',
  ],
  [
    new UnsupportedApiError(metadata, 'a:1', { min: 0, max: 8 }),
    'CLUSTER_API_UNSUPPORTED',
    'cluster "east": broker a:1 offers versions 0 to 8 of Metadata (key 3); Lockstep needs one of 12 to 13',
  ],
  [
    new UnsupportedApiError({ ...metadata, name: 'Fetch', key: 1 }, 'a:1', undefined),
    'CLUSTER_API_UNSUPPORTED',
    'cluster "east": broker a:1 offers no version of Fetch (key 1); Lockstep needs one of 12 to 13',
  ],
  [
    new ClusterIdChangedError('east', 'east:9092', { expected: 'x', found: 'y' }),
    'CLUSTER_ID_MISMATCH',
    'cluster "east" had the id x, and now y answers at east:9092',
  ],
  [
    new BrokerError({ code: 29, name: 'TOPIC_AUTHORIZATION_FAILED', retryable: false }, 'Produce', 'orders'),
    'PERMISSION_DENIED',
    'cluster "east": Produce for orders: TOPIC_AUTHORIZATION_FAILED (29)',
  ],
  [
    new BrokerError({ code: 999, name: 'UNKNOWN_ERROR_CODE_999', retryable: false }, 'Metadata', 'cluster "east"'),
    'CLUSTER_REFUSED',
    'Metadata for cluster "east": UNKNOWN_ERROR_CODE_999 (999)',
  ],
  [damaged, 'CLUSTER_ANSWER_INVALID', 'cluster "east": a:1 sent bytes that are no Kafka response'],
  [
    new ClusterUnreachableError('east', [refused, damaged]),
    'CLUSTER_ANSWER_INVALID',
    'no address of cluster "east" answers: a:1: nobody listens (refused); a:1 sent bytes that are no Kafka response (closed)',
  ],
  [
    new MalformedFrameError('it ends in the middle'),
    'CLUSTER_ANSWER_INVALID',
    'cluster "east": an answer cannot be read: it ends in the middle',
  ],
  [
    new MalformedBatchError('its checksum is wrong'),
    'CLUSTER_ANSWER_INVALID',
    'cluster "east": an answer cannot be read: its checksum is wrong',
  ],
])('%s becomes %s, names what it is about once, and says what to do', (error, code, message) => {
  const result = toAppError(error, 'cluster "east"');
  expect(result).toMatchObject({ code, message, cause: error });
  expect(result.nextStep).toMatch(/^[A-Z].*\.$/);
});

test('an AppError passes as it is, and a bug is thrown on', () => {
  const own = new AppError('TOPIC_NOT_FOUND', 'gone');
  expect(toAppError(own, 'x')).toBe(own);
  expect(() => toAppError(new TypeError('a bug'), 'x')).toThrow('a bug');
});
