import type {
  administer,
  abandonMirrorFailover,
  capacityOfMirrors,
  describeClusters,
  describeTopics,
  drillMirror,
  failBackMirror,
  failOverMirror,
  Host,
  openMonitoring,
  makeCertificates,
  checkCertificate,
  checkAuthority,
  inspectTls,
  diagnose,
  migrate,
  permissionsOfMirrors,
  planMirrorFailover,
  exportLedgers,
  planMirrors,
  rebuildCopy,
  runMirrors,
  serve,
  work,
  verifyEvidence,
  verifyLogDirectory,
  verifyLogProof,
  verifyMirrors,
} from '../main.ts';
import type { Io } from './io.ts';

/** What commands do is done by the composition root; a test puts its own in its place. */
export interface App {
  readonly administer: typeof administer;
  readonly exportLedgers: typeof exportLedgers;
  readonly planMirrors: typeof planMirrors;
  readonly rebuildCopy: typeof rebuildCopy;
  readonly planMirrorFailover: typeof planMirrorFailover;
  readonly failOverMirror: typeof failOverMirror;
  readonly drillMirror: typeof drillMirror;
  readonly failBackMirror: typeof failBackMirror;
  readonly abandonMirrorFailover: typeof abandonMirrorFailover;
  readonly migrate: typeof migrate;
  readonly capacityOfMirrors: typeof capacityOfMirrors;
  readonly permissionsOfMirrors: typeof permissionsOfMirrors;
  readonly runMirrors: typeof runMirrors;
  readonly serve: typeof serve;
  readonly work: typeof work;
  readonly openMonitoring: typeof openMonitoring;
  readonly makeCertificates: typeof makeCertificates;
  readonly checkCertificate: typeof checkCertificate;
  readonly checkAuthority: typeof checkAuthority;
  readonly inspectTls: typeof inspectTls;
  readonly diagnose: typeof diagnose;
  readonly verifyMirrors: typeof verifyMirrors;
  readonly verifyLogDirectory: typeof verifyLogDirectory;
  readonly verifyLogProof: typeof verifyLogProof;
  readonly verifyEvidence: typeof verifyEvidence;
  readonly describeClusters: typeof describeClusters;
  readonly describeTopics: typeof describeTopics;
}

/** What every command is given. */
export interface Context {
  readonly io: Io;
  readonly host: Host;
  readonly app: App;
  readonly version: string;
}

/** Options that every command has. */
export interface CommonOptions {
  readonly file: readonly string[];
  readonly json?: true;
}
