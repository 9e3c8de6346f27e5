import { FramePool } from '#kafka/frame.ts';
import { Cluster } from '#kafka/cluster.ts';
import { systemClock, systemNetwork } from '#util/host.ts';
import { createRandom } from '#util/random.ts';

/** A client of a real cluster with short deadlines; the caller connects and closes it. */
export function openCluster(
  bootstrap: readonly string[],
  options: { name?: string; requestTimeoutMs?: number; connectTimeoutMs?: number } = {},
): Cluster {
  return new Cluster({
    name: options.name ?? 'test',
    bootstrap,
    network: systemNetwork,
    clock: systemClock,
    random: createRandom(1),
    pool: new FramePool({ bytesMax: 64 * 1024 * 1024 }),
    requestTimeoutMs: options.requestTimeoutMs ?? 20_000,
    connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
  });
}
