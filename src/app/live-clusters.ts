/**
 * Asks clusters what the API shows of them. Connections are the server's own, apart from those of jobs, and stay for a minute
 * after they were used last: who looks at a list asks again.
 */
import type { SecretRef, TokenRef } from '#contract/cluster-security.ts';
import { AppError } from '#contract/errors.ts';
import type { NewTopicText } from '#contract/new-topic.ts';
import type { ClusterResource } from '#contract/resources.ts';
import type { ClusterView, TopicView } from '#contract/views.ts';
import { readSecret } from '#jobs/secret-host.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { SecretError } from '#kafka/errors.ts';
import { FramePool } from '#kafka/frame.ts';
import type { ClusterAsker, CreatedTopic, ForeseenTopic } from '#server/ports.ts';
import type { InventoryGroup, InventoryGroupOffset } from '#store/inventory.ts';
import { findTopics, readTopicConfigs, viewCluster, viewTopics } from './cluster-views.ts';
import { asAppError, connectAs, createCluster } from './connected-clusters.ts';
import { viewGroupOffsets, viewGroups } from './group-views.ts';
import type { Host } from './host.ts';
import { createWantedTopic, foreseeTopic } from './new-topics.ts';
import { RefusedLogins, type Refusal } from './refused-logins.ts';

const IDLE_MS = 60_000;
/** Answers about 10,000 topics are some MB; what is larger waits for room. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;

interface Open {
  readonly connected: Promise<Cluster>;
  readonly close: () => void;
  /** A broker has refused the login since. */
  readonly refused: (refusal: Refusal) => void;
  uses: number;
  stopTimer: () => void;
}

export class LiveClusters implements ClusterAsker {
  readonly #host: Host;
  readonly #pool = new FramePool({ bytesMax: FRAME_BYTES_MAX });
  /** By what they are described as: who changes a cluster is connected anew. */
  readonly #open = new Map<string, Open>();
  readonly #logins: RefusedLogins;

  /** Before somebody connects: what is stored for that is read. */
  readonly #prepare: () => Promise<void>;

  constructor(host: Host, prepare: () => Promise<void>) {
    this.#host = host;
    this.#prepare = prepare;
    this.#logins = new RefusedLogins(host.clock, host.random);
  }

  describe(resource: ClusterResource): Promise<ClusterView> {
    return this.#with(resource, async ({ connected, refused }) => {
      const view = await viewCluster(resource, () => connected);
      if (view.error?.code === 'CLUSTER_AUTHENTICATION_FAILED') refused(view.error);
      return view;
    });
  }

  topicNames(resource: ClusterResource): Promise<readonly string[]> {
    return this.#ask(resource, async (cluster) => (await findTopics(cluster, null)).map(({ name }) => name));
  }

  topics(resource: ClusterResource, names: readonly string[] | null): Promise<readonly TopicView[]> {
    return this.#ask(resource, async (cluster) => {
      const topics = await findTopics(cluster, names);
      const named = names === null ? [] : topics.map(({ name }) => name);
      return viewTopics(cluster, topics, await readTopicConfigs(cluster, named));
    });
  }

  foreseeTopic(resource: ClusterResource, topic: NewTopicText): Promise<ForeseenTopic> {
    return this.#ask(resource, (cluster) => foreseeTopic(cluster, topic));
  }

  createTopic(resource: ClusterResource, topic: NewTopicText): Promise<CreatedTopic> {
    return this.#ask(resource, (cluster) => createWantedTopic(cluster, topic));
  }

  groups(resource: ClusterResource): Promise<readonly InventoryGroup[]> {
    return this.#ask(resource, viewGroups);
  }

  groupOffsets(resource: ClusterResource): Promise<readonly InventoryGroupOffset[]> {
    return this.#ask(resource, viewGroupOffsets);
  }

  close(): void {
    for (const open of this.#open.values()) open.close();
    this.#open.clear();
  }

  #ask<T>(resource: ClusterResource, question: (cluster: Cluster) => Promise<T>): Promise<T> {
    return this.#with(resource, async ({ connected, refused }) => {
      const cluster = await connected;
      try {
        return await asAppError(`cluster "${resource.metadata.name}"`, () => question(cluster));
      } catch (error) {
        if (error instanceof AppError && error.code === 'CLUSTER_AUTHENTICATION_FAILED') refused(error);
        throw error;
      }
    });
  }

  async #with<T>(resource: ClusterResource, use: (open: Open) => Promise<T>): Promise<T> {
    const key = JSON.stringify(resource);
    const open = this.#open.get(key) ?? this.#connect(key, resource);
    open.uses++;
    open.stopTimer();
    try {
      return await use(open);
    } finally {
      open.uses--;
      // One that could not be connected is forgotten already: a timer of its own would keep the process from ending.
      const isKept = this.#open.get(key) === open;
      if (open.uses === 0 && isKept) open.stopTimer = this.#host.clock.schedule(IDLE_MS, () => this.#forget(key, open));
    }
  }

  #connect(key: string, resource: ClusterResource): Open {
    const closed = new AbortController();
    const cluster = createCluster(resource, this.#host, {
      pool: this.#pool,
      // A secret that cannot be read anew: whoever asks when the connection has ended is told.
      onTrouble: () => {},
      signal: closed.signal,
    });
    const close = (): void => {
      open.stopTimer();
      closed.abort();
      cluster.close();
    };
    let secret: string | null = null;
    const connected = this.#prepare().then(() => {
      secret = secretOf(resource, this.#host);
      return this.#logins.attempt(key, secret, () => connectAs(resource, cluster));
    });
    const refused = (refusal: Refusal): void => {
      if (this.#open.get(key) !== open) return; // told by another question, or by the attempt to connect
      this.#forget(key, open);
      this.#logins.refused(key, secret, refusal);
    };
    const open: Open = { connected, close, refused, uses: 0, stopTimer: () => {} };
    this.#open.set(key, open);
    // Who asks next tries anew.
    connected.catch(() => this.#forget(key, open));
    return open;
  }

  #forget(key: string, open: Open): void {
    open.close();
    if (this.#open.get(key) === open) this.#open.delete(key);
  }
}

/** What a login shows, or stands for it; null where it cannot be read, or nothing is shown. */
function secretOf({ spec }: ClusterResource, host: Host): string | null {
  const { sasl } = spec.security;
  if (!sasl) return null;
  const ref = sasl.mechanism !== 'OAUTHBEARER' ? sasl.password : tokenSecretOf(sasl.token);
  try {
    return readSecret(ref, 'secret', host);
  } catch (error) {
    if (error instanceof SecretError) return null; // whoever logs in says so
    throw error;
  }
}

function tokenSecretOf(token: TokenRef): SecretRef {
  return 'file' in token ? token : token.clientSecret;
}
