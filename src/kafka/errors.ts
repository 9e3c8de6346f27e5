import { printable } from '#util/printable.ts';

/**
 * What can go wrong between us and a broker, classified once. Recovery is the caller's: `retryable` says that the same
 * call may succeed later, `definite` that the request certainly had no effect. An indefinite result of a write is
 * never treated as 'not done': the state is read again first (STYLE.md 6).
 */
export abstract class KafkaError extends Error {
  abstract readonly retryable: boolean;
  abstract readonly definite: boolean;
  /** Our name of the cluster that was asked, once it is known. */
  cluster: string | null = null;

  /** Names, hosts and messages of brokers are in `message`: it is made printable, in one line. */
  constructor(message: string, options?: { cause?: unknown }) {
    super(printable(message), options);
  }
}

export type ConnectionFailure =
  | 'unresolved' // the name has no address
  | 'refused' // nobody listens there
  | 'unreachable'
  | 'timeout' // no answer within the deadline
  | 'closed' // the peer closed, or the network did
  | 'not-kafka' // bytes that are no Kafka response: TLS, HTTP, or a listener of another kind
  | 'tls' // the two sides did not agree on an encrypted connection, or a certificate was refused
  | 'authentication' // the broker refused who we say we are, or could not prove who it is (SCRAM)
  | 'denied' // the address is not one to connect to (advertised.ts)
  | 'secret' // what we would log in with cannot be had
  | 'local'; // we closed it

/** The connection could not be made or is gone. */
export class ConnectionError extends KafkaError {
  override name = 'ConnectionError';
  readonly retryable = true;
  readonly definite: boolean;
  readonly failure: ConnectionFailure;
  /** `host:port` */
  readonly address: string;

  constructor(
    failure: ConnectionFailure,
    address: string,
    message: string,
    options: { definite: boolean; cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.failure = failure;
    this.address = address;
    this.definite = options.definite;
  }
}

/**
 * A password, key, certificate or token cannot be read or used: nobody has been asked yet, and it may be there again at
 * the next attempt. The message names where it was looked for, never what was found.
 */
export class SecretError extends ConnectionError {
  override name = 'SecretError';

  constructor(message: string, options: { address?: string; cause?: unknown } = {}) {
    super('secret', options.address ?? '', message, { definite: true, cause: options.cause });
  }
}

/** The broker does not log us in, or did not prove who it is. */
export class LoginRefusedError extends ConnectionError {
  override name = 'LoginRefusedError';
  /** Credentials, or a part of them. False: the mechanism was refused, and nothing shown. */
  readonly wasShown: boolean;
  /** The other brokers would refuse it too, as far as is known (login-turns.ts): it is no use to ask them now. */
  isOfAllBrokers = false;

  constructor(address: string, message: string, options: { wasShown: boolean }) {
    super('authentication', address, message, { definite: true });
    this.wasShown = options.wasShown;
  }
}

/** The leave to write was taken back before the request was sent (permit.ts). */
export class WithheldError extends ConnectionError {
  override name = 'WithheldError';

  constructor(address: string) {
    super('local', address, `nothing was sent to ${address}: the leave to write was taken back`, { definite: true });
  }
}

/** No address of a cluster answers. `failures` has one entry for each that was tried. */
export class ClusterUnreachableError extends ConnectionError {
  override name = 'ClusterUnreachableError';
  readonly failures: readonly ConnectionError[];

  constructor(cluster: string, failures: readonly ConnectionError[]) {
    const all = failures.map(({ failure, message }) => `${message} (${failure})`).join('; ');
    const addresses = failures.map(({ address }) => address).join(', ');
    super(failures[0]?.failure ?? 'unreachable', addresses, `no address of cluster "${cluster}" answers: ${all}`, {
      definite: true,
    });
    this.failures = failures;
    this.cluster = cluster;
  }
}

/** Another cluster than at first contact answers at a cluster's addresses. */
export class ClusterIdChangedError extends KafkaError {
  override name = 'ClusterIdChangedError';
  readonly retryable = false;
  readonly definite = true;

  constructor(cluster: string, address: string, ids: { readonly expected: string; readonly found: string }) {
    super(`cluster "${cluster}" had the id ${ids.expected}, and now ${ids.found} answers at ${address}`);
  }
}

/** The broker answered with an error code. Codes that we do not know keep their number and count as not retryable. */
export class BrokerError extends KafkaError {
  override name = 'BrokerError';
  readonly retryable: boolean;
  readonly definite: boolean;
  readonly code: number;
  /** Kafka's name, e.g. `NOT_LEADER_OR_FOLLOWER`; `UNKNOWN_ERROR_CODE_<n>` where we know none. */
  readonly codeName: string;
  readonly api: string;

  constructor(
    error: { code: number; name: string; retryable: boolean },
    api: string,
    subject: string,
    detail?: string | null,
  ) {
    super(`${api} for ${subject}: ${error.name} (${error.code})${detail ? `: ${detail}` : ''}`);
    this.code = error.code;
    this.codeName = error.name;
    this.retryable = error.retryable;
    this.api = api;
    // REQUEST_TIMED_OUT and NOT_ENOUGH_REPLICAS_AFTER_APPEND may have had their effect, and so may what we do not know.
    this.definite =
      error.code !== 7 && error.code !== 20 && error.code !== -1 && !error.name.startsWith('UNKNOWN_ERROR_CODE');
  }
}

/** The broker does not speak any version of a request that we speak. */
export class UnsupportedApiError extends KafkaError {
  override name = 'UnsupportedApiError';
  readonly retryable = false;
  readonly definite = true;
  readonly api: string;
  readonly address: string;
  /** The broker knows the request, in other versions. */
  readonly isKnown: boolean;

  constructor(
    api: { name: string; key: number; minVersion: number; maxVersion: number },
    address: string,
    offered: { min: number; max: number } | undefined,
  ) {
    const theirs = offered ? `versions ${offered.min} to ${offered.max}` : 'no version';
    super(
      `broker ${address} offers ${theirs} of ${api.name} (key ${api.key}); Lockstep needs one of ${api.minVersion} to ${api.maxVersion}`,
    );
    this.api = api.name;
    this.address = address;
    this.isKnown = offered !== undefined;
  }
}

/**
 * Bytes that do not follow the protocol, whose connection is closed: nothing behind them can be trusted. Or an answer that
 * leaves out what was asked for.
 */
export class MalformedFrameError extends KafkaError {
  override name = 'MalformedFrameError';
  readonly retryable = true;
  readonly definite = false;
}

/** A record batch that does not follow message format v2, or whose CRC does not match. */
export class MalformedBatchError extends KafkaError {
  override name = 'MalformedBatchError';
  readonly retryable = false;
  readonly definite = true;
}
