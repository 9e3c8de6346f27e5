/**
 * What the control plane keeps: one interface for each aggregate. Nothing here is needed to copy records, and nothing on the
 * data path waits for it; what mirrored data depends on is in the target cluster.
 *
 * Every call has a deadline and is one transaction. It ends as the answer, or with an AppError:
 * - STORE_UNAVAILABLE locked, lost, overloaded, or no answer in time. `details.effect` is `none` where it certainly had
 *   no effect and `unknown` where it may have had one: read before repeating it.
 * - STORE_FULL        there is no room; nothing was changed.
 * - STORE_INVALID     the database is damaged, or another program's or a newer version's.
 * - those that the interfaces name.
 *
 * Times are milliseconds since the epoch, by the store's clock.
 */
import type { Certificates } from './certificates.ts';
import type { Clusters } from './clusters.ts';
import type { Configuration } from './configuration.ts';
import type { Dumps } from './dumps.ts';
import type { Events } from './events.ts';
import type { MetricsHistory } from './history.ts';
import type { Idempotency } from './idempotency.ts';
import type { Imports } from './imports.ts';
import type { Incidents } from './incidents.ts';
import type { Inventory } from './inventory.ts';
import type { Jobs } from './jobs.ts';
import type { Leases } from './leases.ts';
import type { LogAnchors } from './log-anchors.ts';
import type { Maintenance } from './maintenance.ts';
import type { OneTimeTokens } from './one-time-tokens.ts';
import type { Personal } from './personal.ts';
import type { Reports } from './reports.ts';
import type { Roles } from './roles.ts';
import type { SealedSecrets } from './sealed-secrets.ts';
import type { Sessions } from './sessions.ts';
import type { Throttles } from './throttles.ts';
import type { ApiTokens } from './tokens.ts';
import type { Users } from './users.ts';

export interface Aggregates {
  readonly users: Users;
  readonly roles: Roles;
  readonly sessions: Sessions;
  readonly tokens: ApiTokens;
  readonly oneTimeTokens: OneTimeTokens;
  readonly certificates: Certificates;
  readonly clusters: Clusters;
  readonly jobs: Jobs;
  readonly events: Events;
  readonly incidents: Incidents;
  readonly history: MetricsHistory;
  readonly inventory: Inventory;
  readonly configuration: Configuration;
  readonly secrets: SealedSecrets;
  readonly idempotency: Idempotency;
  readonly throttles: Throttles;
  readonly leases: Leases;
  readonly reports: Reports;
  readonly logAnchors: LogAnchors;
  readonly personal: Personal;
  readonly imports: Imports;
  readonly dumps: Dumps;
  readonly maintenance: Maintenance;
}

export interface Store extends Aggregates {
  /**
   * The same store; what is changed through it is noted, in the same transaction, as the effect of this intent of the audit
   * log. After a crash `logAnchors.effectsOf` tells which dangling intents took effect.
   */
  under(intent: number): Aggregates;
  /** Without asking the database: answers at once. */
  health(): StoreHealth;
  /** Calls under way are finished, as far as `withinMs` allows; later ones end with STORE_UNAVAILABLE. */
  close(withinMs: number): Promise<void>;
}

export interface StoreHealth {
  readonly engine: 'sqlite' | 'postgres';
  /** `locked`, `full`, `lost`, `damaged`: what the last calls met. */
  readonly state: 'ok' | 'locked' | 'full' | 'lost' | 'damaged' | 'overloaded' | 'closed';
  readonly since: number;
  /** Of the last call that failed for the store's sake. */
  readonly lastError: { readonly at: number; readonly code: string; readonly message: string } | null;
  /** Null: none was answered yet. */
  readonly lastAnswerAt: number | null;
  readonly queue: {
    readonly calls: number;
    readonly bytes: number;
    readonly bytesMax: number;
    /** Age of the oldest; null: none waits. */
    readonly oldestMs: number | null;
    /** Calls that found no room, since the start. */
    readonly refused: number;
  };
}
