/**
 * `lockstep serve`: store, jobs, audit log and HTTP server put together. Jobs come first and go last: whatever the control plane has
 * to wait for, records are copied meanwhile.
 */
import { AppError } from '#contract/errors.ts';
import { monitoringOf } from '#contract/monitoring-settings.ts';
import { formatAddress } from '#contract/option-types.ts';
import { listIfThere } from '#prove/log/log-disk.ts';
import type { SignerKey } from '#prove/log/note.ts';
import { createPasswordHash } from '#server/auth/password-hash.ts';
import { createServer, type Server } from '#server/server.ts';
import { defaultSettings, type ServerSettings } from '#server/settings.ts';
import { maintain } from '#store/maintenance-loop.ts';
import { openStore } from '#store/open-store.ts';
import type { Store } from '#store/store.ts';
import { createVault } from '#store/vault.ts';
import { parseCertificates, problemsOf } from '#watch/certificates/certificate-facts.ts';
import { must } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import { createAnchors } from './audit-anchors.ts';
import { AuditKeeper } from './audit-keeper.ts';
import type { Host } from './host.ts';
import { createJobAccount } from './job-account.ts';
import { createJobHost } from './job-host.ts';
import { JobSupervisor } from './job-supervisor.ts';
import { openKeyring, openSigner } from './key-files.ts';
import { LiveClusters } from './live-clusters.ts';
import { openProcessMonitoring } from './process-monitoring.ts';
import { awaitLease, keepLease, releaseLease } from './server-lease.ts';
import {
  publicUrlOf,
  readOption,
  readServerTls,
  retentionOf,
  storeLocation,
  type TlsSettings,
} from './server-options.ts';
import { aborted, Ends, type ProcessOptions, type RunOn } from './process.ts';
import { troubleEvent } from './trouble.ts';

/** How soon a replaced certificate is shown. */
const CERTIFICATE_MS = 10_000;
const SETUP_MS = 3_600_000;
const STORE_CLOSE_MS = 5_000;

export interface ServerOptions extends ProcessOptions {
  /** What is printed is seen by whoever started the server, and goes into no log. */
  readonly isTerminal: boolean;
}

/** Resolves when it has ended in good order. Throws AppError where it cannot begin or go on. */
export async function runServer(host: Host, options: ServerOptions, runOn: RunOn): Promise<void> {
  const ends = new Ends(host, options);
  try {
    await new ServerProcess(host, options, runOn, ends).run();
  } finally {
    await ends.endAll();
  }
}

class ServerProcess {
  readonly #host: Host;
  readonly #options: ServerOptions;
  readonly #runOn: RunOn;
  readonly #ends: Ends;
  /** In leases: unlike any other, also than a process of the same number. */
  readonly #holder: string;

  constructor(...[host, options, runOn, ends]: [Host, ServerOptions, RunOn, Ends]) {
    this.#host = host;
    this.#options = options;
    this.#runOn = runOn;
    this.#ends = ends;
    this.#holder = `${host.process} ${host.nonce()}`;
  }

  async run(): Promise<void> {
    const { clock } = this.#host;
    const { values, signal } = this.#options;
    const tls = this.#readTls();
    const location = storeLocation(values, this.#host);
    const store = await openStore(location, { clock });
    this.#ends.push(() => store.close(STORE_CLOSE_MS));
    const keys = openKeyring(this.#host, {
      path: values['secrets.keyFile'],
      text: this.#secret('secrets.key'),
      isNew: (await store.secrets.list('')).length === 0,
    });
    const vault = createVault(store.secrets, keys);
    const jobHost = createJobHost(this.#host, values);
    const audit = this.#createAudit(store, jobHost);
    const jobs = await this.#startJobs(store, { jobHost, audit });
    const lease = location.engine === 'postgres' ? this.#lease(store) : null;
    if (lease && !(await awaitLease(lease))) return;
    if (lease) this.#ends.push(() => releaseLease(lease));
    await audit.open();
    this.#ends.push(() => audit.close());
    const clusters = new LiveClusters(jobHost);
    this.#ends.push(() => clusters.close());
    const server = await this.#serve({ store, vault, audit, auditTrail: audit, jobs, clusters }, tls);
    this.#ends.push(() => server.close());
    const ended = new AbortController();
    const works = [
      maintain(store, {
        clock,
        retention: () => retentionOf(values),
        holder: this.#holder,
        onTrouble: (error) => this.#trouble('the store could not be kept small', error),
        signal: ended.signal,
      }),
      ...(tls === null ? [] : [this.#followCertificate(server, tls, ended.signal)]),
    ];
    this.#ends.push(async () => {
      ended.abort();
      await Promise.all(works);
    });
    await this.#untilEnd(lease, signal);
  }

  // ---- parts

  #createAudit(store: Store, jobHost: Host): AuditKeeper {
    const { values, onEvent } = this.#options;
    const { clock, disk } = this.#host;
    const directory = values['audit.directory'];
    const key = this.#signer(directory);
    return new AuditKeeper({
      disk,
      clock,
      directory,
      key,
      store,
      anchors: createAnchors(
        { clusters: values['audit.anchorClusters'], files: values['audit.anchorFiles'] },
        { store, host: jobHost, origin: key.verifier.name },
      ),
      observers: {
        onOpen: ({ entries, dangling }) => {
          const at = clock.now();
          for (const { entry, hasEffect } of dangling) {
            const { seq, action, resource } = entry;
            const event = { seq, action, resource: `${resource.type} ${resource.id}`, hasEffect, at } as const;
            onEvent({ event: 'dangling-intent', ...event });
          }
          const { text } = key.verifier;
          onEvent({ event: 'audit-log', directory, key: text, entries, dangling: dangling.length, at });
        },
        onTrouble: (message, error) => this.#trouble(message, error),
      },
    });
  }

  #signer(directory: string): SignerKey {
    const { values } = this.#options;
    return openSigner(this.#host, {
      path: values['audit.keyFile'],
      isNew: listIfThere(this.#host.disk, directory).length === 0,
      name: `${this.#hostName()}/lockstep-audit`,
    });
  }

  async #startJobs(
    store: Store,
    { jobHost, audit }: { readonly jobHost: Host; readonly audit: AuditKeeper },
  ): Promise<JobSupervisor> {
    const { values, version, onEvent } = this.#options;
    const { clock, random } = this.#host;
    const settings = monitoringOf(values);
    const waitsFor = (): readonly string[] => [
      ...(store.health().state === 'ok' ? [] : ['the store']),
      ...(audit.isWritable() ? [] : ['the audit log']),
    ];
    const monitoring = settings && (await openProcessMonitoring(this.#host, { settings, version, waitsFor, onEvent }));
    if (monitoring) this.#ends.push(() => monitoring.close());
    const jobs = new JobSupervisor({
      store,
      clock,
      random,
      run: this.#runOn(jobHost),
      observers: createJobAccount({
        clock,
        monitoring,
        onEvent,
        note: (event, outcome) => audit.note(event, outcome),
      }),
    });
    jobs.start();
    this.#ends.push(() => jobs.close());
    return jobs;
  }

  async #serve(
    parts: Pick<Parameters<typeof createServer>[0], 'store' | 'vault' | 'audit' | 'auditTrail' | 'jobs' | 'clusters'>,
    tls: TlsSettings | null,
  ): Promise<Server> {
    const { clock, web, entropy } = this.#host;
    const { values, onEvent } = this.#options;
    const host = values['server.host'];
    const port = values['server.port'] || (await this.#freePort(host));
    const settings: ServerSettings = {
      ...defaultSettings,
      version: this.#options.version,
      publicUrl: publicUrlOf(values, { port, hostName: this.#hostName() }),
      tls,
      trustedProxies: values['server.trustedProxies'],
    };
    const server = await createServer(
      {
        ...parts,
        passwords: createPasswordHash({ entropy }),
        web,
        clock,
        entropy,
        log: (entry) => onEvent(troubleEvent(entry, clock.now())),
      },
      settings,
    );
    try {
      await server.http.listen({ host, port });
    } catch (cause) {
      await server.close();
      throw cannotListen({ host, port }, cause);
    }
    onEvent({ event: 'listening', url: settings.publicUrl, at: clock.now() });
    await this.#offerSetup(server);
    return server;
  }

  /** Printed where somebody reads it and it is kept nowhere; else in a file that its owner alone may read. */
  async #offerSetup(server: Server): Promise<void> {
    const { disk, clock, nonce } = this.#host;
    const { values, isTerminal, onEvent } = this.#options;
    const path = values['server.setupTokenFile'];
    const token = await server.issueSetupToken();
    if (token === null) return;
    if (!isTerminal) {
      const aside = `${path}.${nonce()}`;
      disk.createSecret(aside, `${token}\n`);
      disk.rename(aside, path); // the one of an earlier start is worth nothing any more
    }
    const at = clock.now();
    const place = isTerminal ? { token, file: null } : { token: null, file: path };
    onEvent({ event: 'setup-token', ...place, expiresAt: at + SETUP_MS, at });
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

  // ---- certificate

  #readTls(): TlsSettings | null {
    const tls = readServerTls(this.#options.values, this.#host);
    if (tls !== null) this.#complain(tls);
    return tls;
  }

  /** What is wrong with it keeps clients away; that is no reason to copy nothing. */
  #complain(tls: TlsSettings): boolean {
    const problems = problemsOf({ ...tls, ca: null }, { purpose: 'server', now: this.#host.clock.now() });
    if (problems.length === 0) return true;
    const error = new AppError('CONFIG_INVALID', `The certificate of the server will not do: ${problems.join('; ')}.`, {
      nextStep:
        'Put another one in its place; it is read anew without a restart. "lockstep tls import-cert" checks one.',
    });
    this.#trouble('clients will not connect', error);
    return false;
  }

  async #followCertificate(server: Server, shown: TlsSettings, signal: AbortSignal): Promise<void> {
    const { clock } = this.#host;
    let last = JSON.stringify(shown);
    while (!signal.aborted) {
      await sleep(clock, CERTIFICATE_MS, signal);
      if (signal.aborted) return;
      try {
        const tls = must(readServerTls(this.#options.values, this.#host), 'certificate of a server with TLS');
        if (JSON.stringify(tls) === last) continue;
        last = JSON.stringify(tls);
        if (!this.#complain(tls)) continue;
        server.replaceCertificate(tls);
        const [own] = must(parseCertificates(tls.certificate), 'certificates');
        this.#options.onEvent({
          event: 'certificate',
          validUntil: must(own, 'certificate').validToDate.getTime(),
          at: clock.now(),
        });
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        if (last !== error.message) this.#trouble('the certificate of the server cannot be read anew', error);
        last = error.message;
      }
    }
  }

  // ---- others

  #lease(store: Store): Parameters<typeof awaitLease>[0] {
    const { clock } = this.#host;
    const { signal, onEvent } = this.#options;
    return {
      store,
      clock,
      holder: this.#holder,
      onWaiting: () => onEvent({ event: 'standing-by', at: clock.now() }),
      onTrouble: (message, error) => this.#trouble(message, error),
      signal,
    };
  }

  async #untilEnd(lease: Parameters<typeof keepLease>[0] | null, signal: AbortSignal): Promise<void> {
    const isLost = await Promise.race([aborted(signal).then(() => false), ...(lease ? [keepLease(lease)] : [])]);
    if (isLost)
      throw new AppError('RESOURCE_CONFLICT', 'Another server has taken the database over.', {
        nextStep: 'The database did not hear of this one for too long. Start it again: it then stands by.',
      });
  }

  #hostName(): string {
    return must(this.#host.process.split(' ')[0], 'host name');
  }

  #secret(option: 'secrets.key'): string | null {
    const ref = this.#options.values[option];
    return ref === null ? null : readOption(ref, option, this.#host);
  }

  #trouble(message: string, error: unknown): void {
    this.#options.onEvent(troubleEvent({ message, requestId: null, error }, this.#host.clock.now()));
  }
}

function cannotListen(address: { readonly host: string; readonly port: number }, cause: unknown): AppError {
  return new AppError('REQUEST_INVALID', `The server cannot listen on ${formatAddress(address)}.`, {
    cause,
    nextStep: 'Name an address of this machine, and a port that is free (server.host, server.port).',
  });
}
