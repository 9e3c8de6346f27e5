/** What the outside world is to Lockstep; `util/host.ts` has the real one. */
import type { Clock } from '#util/clock.ts';
import type { Disk, Web } from '#util/host.ts';
import type { Listen } from '#util/http.ts';
import type { Network } from '#util/network.ts';
import type { ProcessFigures } from '#util/process-figures.ts';
import type { Random } from '#util/random.ts';
import type { Tables } from '#util/tables.ts';
import type { ProbeTls } from '#util/tls-probe.ts';

export interface Host {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  /** Databases of others. */
  readonly tables: Tables;
  /** Of this process, where secrets may stand. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** For tokens, and receivers of metrics and events. */
  readonly web: Web;
  readonly listen: Listen;
  readonly figures: ProcessFigures;
  readonly probeTls: ProbeTls;
  /** Text that nobody can foretell. */
  readonly nonce: () => string;
  /** Bytes that nobody can foretell. */
  readonly entropy: { bytes(count: number): Uint8Array };
  /** What was to be loaded is loaded, and the heap may grow with what is done. */
  readonly growHeap: () => void;
  /** Host name and process id, for people. */
  readonly process: string;
}
