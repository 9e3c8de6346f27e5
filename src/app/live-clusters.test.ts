import { describe, expect, test } from 'vitest';
import type { ClusterResource } from '#contract/resources.ts';
import { Writer } from '#kafka/protocol/writer.ts';
import {
  API_VERSIONS,
  apiVersionsBody,
  parseRequest,
  responseFrame,
  saslAuthenticateBody,
  saslHandshakeBody,
} from '#testing/broker-frames.ts';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { ScriptedNetwork } from '#testing/scripted-network.ts';
import { createRandom } from '#util/random.ts';
import type { Host } from './host.ts';
import { LiveClusters } from './live-clusters.ts';

const METADATA = 3;
const HANDSHAKE = 17;

const resource = {
  metadata: { name: 'east' },
  spec: {
    id: null,
    bootstrap: ['a:1'],
    advertised: { deny: [], allow: [] },
    security: { provider: 'plain', protocol: 'PLAINTEXT' },
  },
} as unknown as ClusterResource;

test('a cluster that was not reached leaves nothing behind that would keep the process from ending', async () => {
  const [network, clock] = [new ScriptedNetwork(), new ManualClock()];
  const host = { network, clock, random: createRandom(1) } as unknown as Host;
  const clusters = new LiveClusters(host, () => Promise.resolve());
  const asked = clusters.describe(resource);
  await settle();
  network.peer.close(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
  expect(await asked).toMatchObject({ error: { code: 'CLUSTER_UNREACHABLE' } });
  clusters.close();
  expect(clock.pending).toBe(0);
});

describe('a cluster that refuses the login', () => {
  test('is not asked by each who looks at it, and they are told at once', async () => {
    const played = new Played();
    expect(await played.look()).toMatchObject({ error: { code: 'CLUSTER_AUTHENTICATION_FAILED' } });
    const again = [await played.look(), await played.topics()];
    expect(again).toMatchObject([{ error: { message: /no/ } }, { code: 'CLUSTER_AUTHENTICATION_FAILED' }]);
    expect(played.logins).toBe(1);
    await played.clock.advance(6_000);
    await played.look();
    expect(played.logins).toBe(2);
    expect(await played.pendingAfterClose()).toBe(0);
  });

  test('is asked at once when its secret or its resource was corrected', async () => {
    const played = new Played();
    await played.look();
    played.environment['PASSWORD'] = 'another';
    await played.look();
    await played.look({ ...secured, metadata: { name: 'west' } } as ClusterResource);
    expect(played.logins).toBe(3);
    played.environment['PASSWORD'] = 'right';
    expect(await played.look()).toMatchObject({ clusterId: 'cluster-id', error: null });
  });

  test('after it has taken it is held back too', async () => {
    const played = new Played();
    played.environment['PASSWORD'] = 'right';
    expect(await played.look()).toMatchObject({ clusterId: 'cluster-id' });
    played.right = 'rotated';
    played.network.peer.close(new Error('reset'));
    expect(await played.look()).toMatchObject({ error: { code: 'CLUSTER_AUTHENTICATION_FAILED' } });
    expect(await played.topics()).toMatchObject({ code: 'CLUSTER_AUTHENTICATION_FAILED' });
    expect(played.logins).toBe(2);
    expect(await played.pendingAfterClose()).toBe(0);
  });
});

const secured = {
  ...resource,
  spec: {
    ...resource.spec,
    security: {
      provider: 'plain',
      protocol: 'SASL_PLAINTEXT',
      tls: null,
      sasl: { mechanism: 'PLAIN', username: 'mirror', password: { env: 'PASSWORD' } },
    },
  },
} as unknown as ClusterResource;

/** A cluster of one broker that knows no topic. */
class Played {
  readonly network = new ScriptedNetwork();
  readonly clock = new ManualClock();
  readonly environment: Record<string, string> = { PASSWORD: 'wrong' };
  right = 'right';
  logins = 0;
  readonly #clusters: LiveClusters;

  constructor() {
    const { network, clock, environment } = this;
    const host = { network, clock, environment, random: createRandom(1), nonce: () => 'nonce' } as unknown as Host;
    this.#clusters = new LiveClusters(host, () => Promise.resolve());
  }

  look(described = secured): Promise<unknown> {
    return this.#served(this.#clusters.describe(described));
  }

  topics(): Promise<unknown> {
    return this.#served(this.#clusters.topicNames(secured).catch((error: unknown) => error));
  }

  async pendingAfterClose(): Promise<number> {
    this.#clusters.close();
    await settle();
    return this.clock.pending;
  }

  /** Answers until `asked` is. */
  async #served<T>(asked: Promise<T>): Promise<T> {
    let isOver = false;
    void asked.finally(() => (isOver = true));
    const accepted = new Set();
    while (!isOver) {
      await settle();
      for (const peer of this.network.peers) {
        if (!accepted.has(peer)) peer.accept();
        accepted.add(peer);
        for (const bytes of peer.takeRequests()) {
          const request = parseRequest(bytes);
          peer.send(responseFrame(request, this.#answerTo(request.apiKey, bytes)));
        }
      }
      await this.clock.advance(10);
    }
    return asked;
  }

  #answerTo(apiKey: number, bytes: Buffer): Buffer {
    if (apiKey === API_VERSIONS)
      return apiVersionsBody([
        [METADATA, 12, 12],
        [HANDSHAKE, 0, 1],
        [API_VERSIONS, 0, 4],
        [36, 0, 2],
      ]);
    if (apiKey === HANDSHAKE) return saslHandshakeBody(0, ['PLAIN']);
    if (apiKey === METADATA) return metadataBody();
    this.logins++;
    return bytes.includes(`\0mirror\0${this.right}`) ? saslAuthenticateBody(0, null) : saslAuthenticateBody(58, 'no');
  }
}

/** Metadata 12: one broker, no topic. */
function metadataBody(): Buffer {
  const writer = new Writer();
  writer.int32(0);
  writer.unsignedVarint(2);
  writer.int32(1);
  writer.compactString('a');
  writer.int32(1);
  writer.compactNullableString(null);
  writer.noTaggedFields();
  writer.compactNullableString('cluster-id');
  writer.int32(1);
  writer.unsignedVarint(1);
  writer.noTaggedFields();
  return writer.finish();
}
