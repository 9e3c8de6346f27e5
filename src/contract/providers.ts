/**
 * What operators of Kafka and of systems like it have in common for all who use them: what a Cluster need not say, and
 * what is known to be missing. Only what their own documentation or an answer of their brokers shows stands here.
 */
import type { SaslMechanism, SecurityProtocol } from './cluster-security.ts';

export interface Provider {
  /** What `security` leaves out. */
  readonly defaults: {
    readonly protocol?: SecurityProtocol;
    readonly mechanism?: SaslMechanism;
    readonly username?: string;
  };
  /** Null: every one. */
  readonly mechanisms: readonly SaslMechanism[] | null;
  readonly limits: readonly ProviderLimit[];
}

/** A fact for the plan. */
export interface ProviderLimit {
  readonly fact: string;
  /** Where it is said. */
  readonly source: string;
}

export type ProviderName = 'plain' | 'confluent' | 'redpanda' | 'azure' | 'msk';

export const providers: Readonly<Record<ProviderName, Provider>> = {
  plain: { defaults: {}, mechanisms: null, limits: [] },
  confluent: {
    defaults: { protocol: 'SASL_SSL', mechanism: 'PLAIN' },
    mechanisms: ['PLAIN', 'OAUTHBEARER'],
    limits: [
      {
        fact: 'Confluent Cloud limits client connections and connection attempts per second by cluster type.',
        source: 'https://docs.confluent.io/cloud/current/clusters/cluster-types.html',
      },
    ],
  },
  redpanda: {
    defaults: { protocol: 'SASL_SSL', mechanism: 'SCRAM-SHA-256' },
    mechanisms: null,
    limits: [
      {
        fact: 'Redpanda keeps one SCRAM mechanism for a user, SCRAM-SHA-256 or SCRAM-SHA-512: "mechanism" must be that one.',
        source: 'https://docs.redpanda.com/streaming/current/develop/kafka-clients/',
      },
    ],
  },
  azure: {
    defaults: { protocol: 'SASL_SSL', mechanism: 'PLAIN', username: '$ConnectionString' },
    mechanisms: ['PLAIN', 'OAUTHBEARER'],
    limits: [
      {
        fact: 'Event Hubs speaks Fetch up to version 6 and Metadata up to 5; Lockstep needs Fetch 13 and Metadata 12: it can be neither source nor target until it does.',
        source: 'https://github.com/oliveigah/klife/issues/13',
      },
      {
        fact: 'Event Hubs has no WriteTxnMarkers: holes cannot be filled there, so topics with compaction or transactions cannot be copied identically.',
        source: 'https://github.com/Azure/azure-event-hubs-for-kafka/issues/209',
      },
      {
        fact: 'Event Hubs has no IncrementalAlterConfigs: settings of topics cannot be kept the same.',
        source: 'https://github.com/Azure/azure-event-hubs-for-kafka/issues/209',
      },
    ],
  },
  msk: {
    defaults: { protocol: 'SASL_SSL', mechanism: 'SCRAM-SHA-512' },
    mechanisms: ['SCRAM-SHA-512'],
    limits: [
      {
        fact: 'MSK takes SCRAM-SHA-512 only, and only encrypted; client certificates need protocol SSL.',
        source: 'https://docs.aws.amazon.com/msk/latest/developerguide/msk-password-limitations.html',
      },
    ],
  },
};

export const providerNames = Object.keys(providers) as ProviderName[];
