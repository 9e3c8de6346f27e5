/** What a failure of the wire means for a person: the one place where KafkaError becomes AppError. */
import { AppError } from '#contract/errors.ts';
import {
  BrokerError,
  ClusterIdChangedError,
  ClusterUnreachableError,
  ConnectionError,
  KafkaError,
  UnsupportedApiError,
} from '#kafka/errors.ts';

/** TOPIC_, GROUP_, CLUSTER_, TRANSACTIONAL_ID_ and DELEGATION_TOKEN_AUTHORIZATION_FAILED. */
const AUTHORISATION = new Set([29, 30, 31, 53, 65]);

/** AppErrors pass; what is no state of the world (a bug) passes too. `subject` is what the user was doing it to. */
export function toAppError(error: unknown, subject: string): AppError {
  if (error instanceof AppError) return error;
  if (!(error instanceof KafkaError)) throw error;
  const cause = { cause: error };
  if (error instanceof ClusterIdChangedError) {
    return new AppError('CLUSTER_ID_MISMATCH', `${subject}: ${error.message}`, {
      ...cause,
      nextStep: 'Check that the bootstrap addresses lead to the cluster that is meant.',
    });
  }
  if (isNotKafka(error)) {
    return new AppError('CLUSTER_NOT_KAFKA', `${subject}: ${error.message}`, {
      ...cause,
      nextStep: 'Give the address of a plaintext Kafka listener; TLS and SASL are not built yet.',
    });
  }
  if (error instanceof ConnectionError) {
    return new AppError('CLUSTER_UNREACHABLE', `${subject}: ${error.message}`, {
      ...cause,
      nextStep: 'Check the bootstrap addresses, and that the brokers run and can be reached from here.',
    });
  }
  if (error instanceof UnsupportedApiError) {
    return new AppError('CLUSTER_API_UNSUPPORTED', `${subject}: ${error.message}`, {
      ...cause,
      nextStep: 'Use Apache Kafka 3.5 or later.',
    });
  }
  if (error instanceof BrokerError && AUTHORISATION.has(error.code)) {
    return new AppError('PERMISSION_DENIED', `${subject}: ${error.message}`, {
      ...cause,
      nextStep: `Grant the right that ${error.api} needs.`,
    });
  }
  return new AppError('CLUSTER_REFUSED', `${subject}: ${error.message}`, {
    ...cause,
    nextStep: 'Look into the log of the broker for the same moment.',
  });
}

function isNotKafka(error: KafkaError): boolean {
  if (error instanceof ClusterUnreachableError) return error.failures.some(({ failure }) => failure === 'not-kafka');
  return error instanceof ConnectionError && error.failure === 'not-kafka';
}
