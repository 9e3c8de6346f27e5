/**
 * `lockstep serve`: store, jobs, audit log and HTTP server put together. Jobs come first and go last: whatever the control plane has
 * to wait for, records are copied meanwhile.
 */
import { AppError } from '#contract/errors.ts';
import { monitoringOf } from '#contract/monitoring-settings.ts';
import { resolveOptions, storedOptions } from '#contract/option-values.ts';
import { formatAddress } from '#contract/option-types.ts';
import type { OptionValues } from '#contract/options.ts';
import { listIfThere } from '#prove/log/log-disk.ts';
import { createPasswordHash } from '#server/auth/password-hash.ts';
import { HistoryKeeper } from '#server/features/history-keeper.ts';
import type { ServerPorts } from '#server/ports.ts';
import { createServer, type Server } from '#server/server.ts';
import { defaultSettings, type ServerSettings } from '#server/settings.ts';
import { createBackups, isRestoreRequested, restoreRequested, type Backups } from '#store/backups.ts';
import type { KeyEncryption } from '#store/key-encryption.ts';
import { openMigrated, type StoreLocation } from '#store/location.ts';
import { maintain } from '#store/maintenance-loop.ts';
import { openStore } from '#store/open-store.ts';
import type { Store } from '#store/store.ts';
import { createVault } from '#store/vault.ts';
import { parseCertificates, problemsOf } from '#watch/certificates/certificate-facts.ts';
import { HttpMetrics } from '#watch/http-metrics.ts';
import type { Monitoring } from '#watch/monitoring.ts';
import { must } from '#util/assert.ts';
import { Announcer } from './announcer.ts';
import { createAnchors } from './audit-anchors.ts';
import { AuditKeeper } from './audit-keeper.ts';
import { showCertificates } from './certificate-metrics.ts';
import { createClusterAccess, runWith, type ClusterAccess } from './cluster-access.ts';
import { BackupMetrics, collectAudit, collectStore } from './control-plane-metrics.ts';
import type { Host } from './host.ts';
import { createJobAccount } from './job-account.ts';
import { JobSupervisor } from './job-supervisor.ts';
import { openSigner } from './key-files.ts';
import { LiveClusters } from './live-clusters.ts';
import { aborted, Ends, type ProcessOptions, type RunOn } from './process.ts';
import { openProcessMonitoring } from './process-monitoring.ts';
import { repeat } from './repeat.ts';
import { awaitLease, keepLease, releaseLease, type ServerLeaseOptions } from './server-lease.ts';
import {
  keyringOf,
  publicUrlOf,
  readCertificateOf,
  readServerTls,
  retentionOf,
  signOnOf,
  storeLocation,
  type TlsSettings,
} from './server-options.ts';
import { troubleEvent } from './trouble.ts';

/** How soon a replaced certificate is shown. */
const CERTIFICATE_MS = 10_000;
/** How soon a changed file of options holds, in what needs no restart. */
const OPTIONS_MS = 5_000;
/** How soon a backup is among the metrics. */
const BACKUPS_MS = 60_000;
const SETUP_MS = 3_600_000;
const STORE_CLOSE_MS = 5_000;

export interface ServerOptions extends ProcessOptions {
  /** What is printed is seen by whoever started the server, and goes into no log. */
  readonly isTerminal: boolean;
}

/** Resolves when it has ended in good order. Throws AppError where it cannot begin or go on. */
export async function runServer(host: Host, options: ServerOptions, runOn: RunOn): Promise<void> {
  const announcer = new Announcer(host.clock, options.onEvent);
  const ends = new Ends(host.clock, announcer);
  try {
    await new ServerProcess(host, { ...options, announcer, ends, runOn }).run();
  } finally {
    await ends.endAll();
  }
}

interface Parts {
  readonly announcer: Announcer;
  readonly ends: Ends;
  readonly runOn: RunOn;
}

class ServerProcess {
  readonly #host: Host;
  readonly #options: ServerOptions & Parts;
  readonly #announcer: Announcer;
  readonly #ends: Ends;
  /** In leases: unlike any other, also than a process of the same number. */
  readonly #holder: string;
  /** Until the store is open, without what is set there. */
  #values: OptionValues;
  #server: Server | null = null;
  /** Of the certificate that is shown, or the last one that will not do. */
  #shown = '';

  constructor(host: Host, options: ServerOptions & Parts) {
    this.#host = host;
    this.#options = options;
    this.#announcer = options.announcer;
    this.#ends = options.ends;
    this.#holder = `${host.process} ${host.nonce()}`;
    this.#values = resolveOptions(options.sources()).values;
    this.#announcer.level = this.#values['logging.level'];
  }

  async run(): Promise<void> {
    const { clock } = this.#host;
    const { signal } = this.#options;
    const location = storeLocation(this.#values, this.#host);
    await this.#restore(location);
    const store = await openStore(location, { clock });
    this.#ends.push(() => store.close(STORE_CLOSE_MS));
    const keys = this.#keyring((await store.secrets.list('')).length === 0);
    await this.#readStoredOptions(store);
    const vault = createVault(store.secrets, keys);
    const access = createClusterAccess(this.#host, { values: this.#values, vault, announcer: this.#announcer });
    const audit = this.#createAudit(store, access.host);
    const { jobs, monitoring } = await this.#startJobs(store, { access, audit });
    const lease = location.engine === 'postgres' ? this.#lease(store) : null;
    if (lease && !(await this.#standBy(lease, { store, jobs }))) return;
    if (lease) this.#ends.push(() => releaseLease(lease));
    await audit.open();
    this.#ends.push(() => audit.close());
    const clusters = new LiveClusters(access.host, access.prepare);
    this.#ends.push(() => clusters.close());
    const backups = this.#createBackups(store, keys);
    const backupMetrics = backups && new BackupMetrics(backups);
    const http = new HttpMetrics();
    // Of a server that stands by there is none of this.
    monitoring?.also((into) => collectAudit(into, audit));
    monitoring?.also(http.collect);
    if (backupMetrics) monitoring?.also(backupMetrics.collect);
    this.#server = await this.#serve({
      store,
      vault,
      audit,
      auditTrail: audit,
      jobs,
      clusters,
      backups,
      readCertificate: certificateReader(access),
      traces: monitoring?.traces ?? null,
      onAnswered: monitoring && ((request) => http.observe(request)),
    });
    this.#work(store, backupMetrics);
    this.#host.growHeap();
    await this.#untilEnd(lease, signal);
  }

  // ---- before the store

  /** A backup that somebody has asked for, before anybody looks at the database. */
  async #restore(location: StoreLocation): Promise<void> {
    const { clock, disk } = this.#host;
    const directory = this.#values['backups.directory'];
    if (directory === null || !isRestoreRequested(disk, directory)) return;
    const keys = this.#keyring(false);
    const database = await openMigrated(location, disk);
    try {
      const restored = await restoreRequested(database, { disk, directory, keys, now: clock.now() });
      if (restored === null) return;
      const { name: backup, summary } = restored;
      this.#announcer.tell({ event: 'restored', backup, takenAt: summary.takenAt, at: clock.now() });
    } finally {
      await database.close();
    }
  }

  #keyring(isNew: boolean): KeyEncryption {
    return keyringOf(this.#values, this.#host, { isNew });
  }

  async #readStoredOptions(store: Store): Promise<void> {
    const stored = storedOptions((await store.configuration.read()).values);
    this.#values = resolveOptions({ ...this.#options.sources(), stored }).values;
    this.#announcer.level = this.#values['logging.level'];
  }

  // ---- parts

  #createAudit(store: Store, jobHost: Host): AuditKeeper {
    const { clock, disk } = this.#host;
    const directory = this.#values['audit.directory'];
    const key = openSigner(this.#host, {
      path: this.#values['audit.keyFile'],
      isNew: listIfThere(disk, directory).length === 0,
      name: `${this.#hostName()}/lockstep-audit`,
    });
    return new AuditKeeper({
      disk,
      clock,
      directory,
      key,
      store,
      otherLogs: this.#values['audit.otherLogs'],
      anchors: createAnchors(this.#values, { store, host: jobHost, origin: key.verifier.name }),
      observers: {
        onOpen: ({ entries, dangling }) => {
          const at = clock.now();
          for (const { entry, hasEffect } of dangling) {
            const { seq, action, resource } = entry;
            const event = { seq, action, resource: `${resource.type} ${resource.id}`, hasEffect, at } as const;
            this.#announcer.tell({ event: 'dangling-intent', ...event });
          }
          const log = { directory, key: key.verifier.text, entries, dangling: dangling.length };
          this.#announcer.tell({ event: 'audit-log', ...log, at });
        },
        onTrouble: this.#announcer.trouble,
      },
    });
  }

  async #startJobs(
    store: Store,
    { access, audit }: { readonly access: ClusterAccess; readonly audit: AuditKeeper },
  ): Promise<{ readonly jobs: JobSupervisor; readonly monitoring: Monitoring | null }> {
    const { version, runOn } = this.#options;
    const { clock, random } = this.#host;
    const announcer = this.#announcer;
    const ends = this.#ends;
    const settings = monitoringOf(this.#values);
    const waitsFor = (): readonly string[] => [
      ...(store.health().state === 'ok' ? [] : ['the store']),
      ...(audit.isWritable() ? [] : ['the audit log']),
    ];
    const monitoring =
      settings && (await openProcessMonitoring(this.#host, { settings, version, waitsFor, announcer }));
    if (monitoring) {
      ends.push(() => monitoring.close());
      monitoring.also((into) => collectStore(into, store.health()));
      const { prepare } = access;
      const values = (): OptionValues => this.#values;
      const reading = { readCertificate: certificateReader(access), prepare, values, isServer: true };
      showCertificates(monitoring, { store, clock, announcer, ends, ...reading });
    }
    const note: AuditKeeper['note'] = (event, outcome) => audit.note(event, outcome);
    const observers = createJobAccount({ clock, monitoring, announcer, note });
    const { process } = this.#host;
    const jobs = new JobSupervisor({ store, clock, random, process, run: runWith(access, runOn), observers });
    jobs.start();
    this.#ends.push(() => jobs.close());
    return { jobs, monitoring };
  }

  #createBackups(store: Store, keys: KeyEncryption): Backups | null {
    const { clock, disk } = this.#host;
    const directory = this.#values['backups.directory'];
    return directory === null ? null : createBackups(store, { disk, directory, keys, clock });
  }

  async #serve(
    parts: Omit<ServerPorts, 'passwords' | 'options' | 'web' | 'clock' | 'entropy' | 'log'>,
  ): Promise<Server> {
    const { clock, web, entropy } = this.#host;
    const host = this.#values['server.host'];
    const port = this.#values['server.port'] || (await this.#freePort(host));
    const tls = readServerTls(this.#values, this.#host);
    this.#shown = JSON.stringify(tls);
    const problem = tls && this.#problemOf(tls);
    // What is wrong with it keeps clients away; that is no reason to copy nothing.
    if (problem) this.#announcer.trouble('clients will not connect', problem);
    const settings: ServerSettings = {
      ...defaultSettings,
      version: this.#options.version,
      publicUrl: publicUrlOf(this.#values, { port, hostName: this.#hostName() }),
      tls,
      signOn: this.#signOn(),
    };
    const server = await createServer(
      {
        ...parts,
        passwords: createPasswordHash({ entropy }),
        options: { sources: this.#options.sources, apply: (values) => this.#apply(values) },
        web,
        clock,
        entropy,
        log: this.#log,
      },
      settings,
    ).catch((error: unknown) => {
      throw problem ?? error; // a key of another certificate, for example, with which no connection comes about
    });
    this.#ends.push(() => server.close());
    try {
      await server.http.listen({ host, port });
    } catch (cause) {
      throw cannotListen({ host, port }, cause);
    }
    this.#announcer.tell({ event: 'listening', url: settings.publicUrl, at: clock.now() });
    await this.#offerSetup(server);
    return server;
  }

  /** What it needs and cannot be had is said at once: everybody else can come in, and jobs run. */
  #signOn(): ServerSettings['signOn'] {
    const signOn = signOnOf(this.#values, this.#host);
    try {
      signOn?.clientSecret();
      signOn?.ca();
    } catch (error) {
      this.#announcer.trouble('nobody can sign in at the identity provider', error);
    }
    return signOn;
  }

  /** Printed where somebody reads it and it is kept nowhere; else in a file that its owner alone may read. */
  async #offerSetup(server: Server): Promise<void> {
    const { disk, clock, nonce } = this.#host;
    const { isTerminal } = this.#options;
    const path = this.#values['server.setupTokenFile'];
    const token = await server.issueSetupToken();
    if (token === null) return;
    if (!isTerminal) {
      const aside = `${path}.${nonce()}`;
      disk.createSecret(aside, `${token}\n`);
      disk.rename(aside, path); // the one of an earlier start is worth nothing any more
    }
    const at = clock.now();
    const place = isTerminal ? { token, file: null } : { token: null, file: path };
    this.#announcer.tell({ event: 'setup-token', ...place, expiresAt: at + SETUP_MS, at });
  }

  /** Between finding and taking it another program may have it: then the start fails, and can be repeated. */
  async #freePort(host: string): Promise<number> {
    const door = await this.#host
      .listen({ host, port: 0, answer: () => ({ status: 503, headers: {}, body: '' }) })
      .catch((cause: unknown) => {
        throw cannotListen({ host, port: 0 }, cause);
      });
    await door.close();
    return Number(/:(\d+)$/.exec(door.address)?.[1]);
  }

  // ---- what goes on beside it

  #work(store: Store, backupMetrics: BackupMetrics | null): void {
    const { clock } = this.#host;
    const ended = new AbortController();
    const { signal } = ended;
    const onTrouble = (error: AppError): void => this.#announcer.trouble('what goes on beside requests', error);
    const again = (everyMs: number, work: () => Promise<void>) => repeat(clock, everyMs, { work, onTrouble, signal });
    const works = [
      maintain(store, {
        clock,
        retention: () => retentionOf(this.#values),
        holder: this.#holder,
        onTrouble: (error) => this.#announcer.trouble('the store could not be kept small', error),
        signal,
      }),
      again(CERTIFICATE_MS, () => this.#followCertificate()),
      again(OPTIONS_MS, () => this.#followOptions()),
      ...(backupMetrics ? [again(BACKUPS_MS, async () => backupMetrics.look())] : []),
    ];
    this.#ends.push(async () => {
      ended.abort();
      await Promise.all(works);
    });
  }

  // ---- options

  #sources = '';

  /** The file was changed: what needs no restart holds from now on. */
  async #followOptions(): Promise<void> {
    const { file } = this.#options.sources();
    const text = JSON.stringify([...(file ?? [])]);
    if (text === this.#sources) return;
    const isFirst = this.#sources === '';
    this.#sources = text;
    if (!isFirst) await must(this.#server, 'server').reloadOptions();
  }

  /** Throws CONFIG_INVALID where what it says cannot be used: what held before holds on. */
  async #apply(values: OptionValues): Promise<void> {
    const tls = readServerTls(values, this.#host);
    if (JSON.stringify(tls) !== this.#shown) this.#show(tls);
    this.#values = values;
    this.#announcer.level = values['logging.level'];
  }

  // ---- certificate

  /** The files were replaced. */
  async #followCertificate(): Promise<void> {
    const tls = readServerTls(this.#values, this.#host);
    if (JSON.stringify(tls) !== this.#shown) this.#show(tls);
  }

  #show(tls: TlsSettings | null): void {
    const problem = tls && this.#problemOf(tls);
    if (problem) throw problem;
    if (tls === null || this.#shown === 'null')
      throw new AppError('CONFIG_INVALID', 'A server begins or ends to speak TLS with a restart.', {
        nextStep: 'Restart it, or take the change back.',
      });
    must(this.#server, 'server').replaceCertificate(tls);
    this.#shown = JSON.stringify(tls);
    const [own] = must(parseCertificates(tls.certificate), 'certificates');
    const validUntil = must(own, 'certificate').validToDate.getTime();
    this.#announcer.tell({ event: 'certificate', validUntil, at: this.#host.clock.now() });
  }

  #problemOf(tls: TlsSettings): AppError | null {
    const problems = problemsOf({ ...tls, ca: null }, { purpose: 'server', now: this.#host.clock.now() });
    if (problems.length === 0) return null;
    return new AppError('CONFIG_INVALID', `The certificate of the server will not do: ${problems.join('; ')}.`, {
      nextStep:
        'Put another one in its place; it is read anew without a restart. "lockstep tls import-cert" checks one.',
    });
  }

  // ---- others

  #lease(store: Store): ServerLeaseOptions {
    const { clock } = this.#host;
    const onWaiting = (): void => this.#announcer.tell({ event: 'standing-by', at: clock.now() });
    const { trouble: onTrouble } = this.#announcer;
    return { store, clock, holder: this.#holder, onWaiting, onTrouble, signal: this.#options.signal };
  }

  /** What its jobs copy meanwhile is counted as a worker's. */
  async #standBy(lease: ServerLeaseOptions, ports: Pick<ServerPorts, 'store' | 'jobs'>): Promise<boolean> {
    const keeper = new HistoryKeeper({ ...ports, clock: this.#host.clock, log: this.#log }, { isServer: false });
    try {
      return await awaitLease(lease);
    } finally {
      keeper.close();
    }
  }

  async #untilEnd(lease: ServerLeaseOptions | null, signal: AbortSignal): Promise<void> {
    const isLost = await Promise.race([aborted(signal).then(() => false), ...(lease ? [keepLease(lease)] : [])]);
    if (isLost)
      throw new AppError('RESOURCE_CONFLICT', 'Another server has taken the database over.', {
        nextStep: 'The database did not hear of this one for too long. Start it again: it then stands by.',
      });
  }

  readonly #log: ServerPorts['log'] = (entry) => this.#announcer.tell(troubleEvent(entry, this.#host.clock.now()));

  #hostName(): string {
    return must(this.#host.process.split(' ')[0], 'host name');
  }
}

function certificateReader({ host }: ClusterAccess): ServerPorts['readCertificate'] {
  return (ref) => readCertificateOf(ref, host);
}

function cannotListen(address: { readonly host: string; readonly port: number }, cause: unknown): AppError {
  return new AppError('REQUEST_INVALID', `The server cannot listen on ${formatAddress(address)}.`, {
    cause,
    nextStep: 'Name an address of this machine, and a port that is free (server.host, server.port).',
  });
}
