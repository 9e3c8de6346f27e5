/**
 * The control plane's server: puts authentication, the pipeline and the handlers together. It keeps nothing itself; what has to
 * last is in the store, what has happened in the audit log, and what runs with the runner of jobs.
 */
import type { FastifyInstance } from 'fastify';
import { must } from '#util/assert.ts';
import { Authenticator } from './auth/authenticator.ts';
import { KnownDevices } from './auth/known-device.ts';
import { SecondFactors } from './auth/second-factors.ts';
import { SignIn } from './auth/sign-in.ts';
import { SingleSignOn } from './auth/single-sign-on.ts';
import { accountHandlers } from './features/account.ts';
import { Chores } from './chores.ts';
import { ConfigurationKeeper } from './configuration-keeper.ts';
import { backupHandlers } from './features/backups.ts';
import { certificateWatch } from './features/certificate-watch.ts';
import { clusterHandlers } from './features/clusters.ts';
import { configurationHandlers } from './features/configuration.ts';
import type { Context } from './features/context.ts';
import { inventoryHandlers } from './features/inventory.ts';
import { jobHandlers } from './features/jobs.ts';
import { HistoryKeeper } from './features/history-keeper.ts';
import { mirrorStateHandlers } from './features/mirror-state.ts';
import { noticeHandlers } from './features/notices.ts';
import { peopleHandlers } from './features/people.ts';
import { recordHandlers } from './features/records.ts';
import { scheduledBackups } from './features/scheduled-backups.ts';
import { scheduledReports } from './features/scheduled-reports.ts';
import { scheduledSnapshots } from './features/scheduled-snapshots.ts';
import { systemHandlers } from './features/system.ts';
import { socketOpener, watchingHandlers } from './features/watching.ts';
import { Pipeline } from './http/pipeline.ts';
import { createHttpServer, tlsOptions } from './http/server.ts';
import { Tracing } from './http/tracing.ts';
import { LiveHub } from './live/live-hub.ts';
import { PersonalNotes } from './personal-notes.ts';
import type { Entropy, ServerPorts } from './ports.ts';
import { hotSettingsOf, type ServerSettings } from './settings.ts';
import { issueSetupToken, syncBuiltInRoles } from './setup.ts';

const DEVICE_KEY = 'server/device-key';

export interface Server {
  /** Not listening yet. */
  readonly http: FastifyInstance;
  /**
   * Of a server without users: a token with which the first administrator is created, for an hour; earlier ones are worth nothing
   * any more. Null where there are users. It belongs on the terminal or in a file of the operator's, never in a log.
   */
  issueSetupToken(): Promise<string | null>;
  /** The file of the options was changed. Throws CONFIG_INVALID where it cannot be used: what held before holds on. */
  reloadOptions(): Promise<void>;
  /** New connections get this certificate, those that stand go on. Not of a server without TLS. */
  replaceCertificate(tls: NonNullable<ServerSettings['tls']>): void;
  /** Ends streams, lets requests under way finish, and takes no more. */
  close(): Promise<void>;
}

export async function createServer(given: ServerPorts, settings: ServerSettings): Promise<Server> {
  const { clock, entropy, web } = given;
  const tracing = given.traces && new Tracing({ ...given.traces, clock, entropy });
  const ports = tracing ? tracing.watched(given) : given;
  const { store } = ports;
  await syncBuiltInRoles(store);
  const { origin, hostname } = new URL(settings.publicUrl);
  const factors = new SecondFactors({ vault: ports.vault, clock, entropy, origins: [origin], domain: hostname });
  const configuration = await ConfigurationKeeper.open(ports);
  const hot = () => hotSettingsOf(configuration.resolved.values);
  const signIn = new SignIn({ ports, hot, factors });
  await signIn.ready();
  const authenticator = new Authenticator({ store, clock });
  const personal = new PersonalNotes(ports);
  const live = new LiveHub({ ports, authenticator });
  const { signOn, publicUrl } = settings;
  const context: Context = {
    ports,
    settings,
    authenticator,
    personal,
    signIn,
    devices: new KnownDevices({ key: await deviceKey(ports.vault, entropy), entropy }),
    signOn: signOn && new SingleSignOn({ settings: signOn, publicUrl, web, clock, entropy }),
    live,
    configuration,
    startedAt: clock.monotonic(),
  };
  const http = await createHttpServer({
    ports,
    settings,
    pipeline: new Pipeline({ ports, settings, authenticator, personal, hot }),
    hot,
    tracing,
    handlers: {
      ...systemHandlers(context),
      ...accountHandlers(context),
      ...peopleHandlers(context),
      ...clusterHandlers(context),
      ...jobHandlers(context),
      ...mirrorStateHandlers(context),
      ...inventoryHandlers(context),
      ...recordHandlers(context),
      ...watchingHandlers(context),
      ...configurationHandlers(context),
      ...backupHandlers(context),
      ...noticeHandlers(context),
    },
    onSocket: socketOpener(context),
  });
  const keeper = new HistoryKeeper(ports, { isServer: true });
  const chores = new Chores(ports, [
    scheduledReports(context),
    scheduledBackups(context),
    certificateWatch(context),
    scheduledSnapshots(context),
  ]);
  return {
    http,
    issueSetupToken: () => issueSetupToken(store, entropy),
    reloadOptions: () => configuration.refresh(),
    replaceCertificate(tls) {
      const { server } = http as unknown as { readonly server: { setSecureContext(options: object): void } };
      server.setSecureContext(tlsOptions(tls));
    },
    async close() {
      chores.close();
      keeper.close();
      configuration.close();
      live.close();
      await http.close();
    },
  };
}

/** Made once, so that browsers stay known over restarts. */
async function deviceKey(vault: ServerPorts['vault'], entropy: Entropy): Promise<Uint8Array> {
  if ((await vault.read(DEVICE_KEY)) === null)
    await vault.write(DEVICE_KEY, Buffer.from(entropy.bytes(32)).toString('base64'), null);
  return Buffer.from(must(await vault.read(DEVICE_KEY), 'device key'), 'base64');
}
