/** What a failure of the wire means for a person: the one place where KafkaError becomes AppError. */
import { AppError, type ErrorCode } from '#contract/errors.ts';
import {
  ClusterIdChangedError,
  ClusterUnreachableError,
  ConnectionError,
  KafkaError,
  MalformedBatchError,
  MalformedFrameError,
  UnsupportedApiError,
} from '#kafka/errors.ts';
import { isDenied, rightOf } from '#kafka/permissions.ts';

type SecurityFailure = 'tls' | 'authentication' | 'secret' | 'denied';

const SECURITY: Readonly<Record<SecurityFailure, readonly [ErrorCode, string]>> = {
  tls: [
    'CLUSTER_TLS_FAILED',
    "Compare ca, certificate, key and serverName of the cluster's security with the broker's certificate and listeners.",
  ],
  authentication: [
    'CLUSTER_AUTHENTICATION_FAILED',
    "Correct protocol, mechanism, user name and secret of the cluster's security; what is corrected in a file is read at the next attempt.",
  ],
  denied: [
    'CLUSTER_ADDRESS_DENIED',
    'Correct advertised.listeners of the broker; where the address is meant, name it under advertised.allow of the Cluster.',
  ],
  secret: ['SECRET_UNAVAILABLE', 'Put it where the message says; it is looked for again at the next attempt.'],
};

/** AppErrors pass; what is no state of the world (a bug) passes too. `subject` is what the user was doing it to. */
export function toAppError(error: unknown, subject: string): AppError {
  if (error instanceof AppError) return error;
  if (!(error instanceof KafkaError)) throw error;
  const cause = { cause: error };
  const said = error.message.includes(subject) ? error.message : `${subject}: ${error.message}`;
  if (error instanceof ClusterIdChangedError) {
    return new AppError('CLUSTER_ID_MISMATCH', said, {
      ...cause,
      nextStep: 'Check that the bootstrap addresses lead to the cluster that is meant.',
    });
  }
  const security = securityFailure(error);
  if (security) {
    const [code, nextStep] = SECURITY[security.failure];
    return new AppError(code, `${subject}: ${security.message}`, { ...cause, nextStep });
  }
  if (isNotKafka(error)) {
    return new AppError('CLUSTER_NOT_KAFKA', said, {
      ...cause,
      nextStep: "Compare security.protocol of the cluster with the broker's listeners, and the ports with theirs.",
    });
  }
  if (isUnreadable(error)) {
    const damage = error instanceof ConnectionError ? said : `${subject}: an answer cannot be read: ${error.message}`;
    return new AppError('CLUSTER_ANSWER_INVALID', damage, {
      ...cause,
      nextStep: 'Try again; if it stays, look for what stands between here and the broker, such as a proxy.',
    });
  }
  if (error instanceof ConnectionError) {
    return new AppError('CLUSTER_UNREACHABLE', said, {
      ...cause,
      nextStep: 'Check the bootstrap addresses, and that the brokers run and can be reached from here.',
    });
  }
  if (isController(error)) {
    return new AppError(
      'CLUSTER_NOT_KAFKA',
      `${subject}: ${error.address} is a controller, not a broker: it does not know ${error.api}`,
      {
        ...cause,
        nextStep: 'Give the address of a broker: one of its listeners that is not among controller.listener.names.',
      },
    );
  }
  if (error instanceof UnsupportedApiError) {
    return new AppError('CLUSTER_API_UNSUPPORTED', said, {
      ...cause,
      nextStep: 'Use Apache Kafka 3.5 or later.',
    });
  }
  if (isDenied(error)) {
    return new AppError('PERMISSION_DENIED', said, {
      ...cause,
      nextStep: `Grant our principal ${rightOf(error)}; "lockstep plan" names it with the command.`,
    });
  }
  return new AppError('CLUSTER_REFUSED', said, {
    ...cause,
    nextStep: 'Look into the log of the broker for the same moment.',
  });
}

/** What says more than an address that does not answer: it wins among the failures of several addresses. */
function securityFailure(error: KafkaError): (ConnectionError & { readonly failure: SecurityFailure }) | null {
  if (!(error instanceof ConnectionError)) return null;
  const all = error instanceof ClusterUnreachableError ? error.failures : [error];
  const found = all.find(({ failure }) => Object.hasOwn(SECURITY, failure));
  return (found ?? null) as (ConnectionError & { readonly failure: SecurityFailure }) | null;
}

/** Brokers of every version know Metadata; the controllers of KRaft do not. */
function isController(error: KafkaError): error is UnsupportedApiError {
  return error instanceof UnsupportedApiError && error.api === 'Metadata' && !error.isKnown;
}

/** Bytes that do not follow the protocol, in an answer or instead of one. */
function isUnreadable(error: unknown): boolean {
  if (error instanceof ClusterUnreachableError) return error.failures.some(isUnreadable);
  if (error instanceof ConnectionError) return isUnreadable(error.cause);
  return error instanceof MalformedFrameError || error instanceof MalformedBatchError;
}

function isNotKafka(error: KafkaError): boolean {
  if (error instanceof ClusterUnreachableError) return error.failures.some(({ failure }) => failure === 'not-kafka');
  return error instanceof ConnectionError && error.failure === 'not-kafka';
}
