/** The kinds of schedules of a partition with identical offsets, by name: each is played from a number and throws where it broke. */
import { crashEverywhere, playShard } from './shard-schedule.ts';

/** What happened, how often. */
export type Counts = Readonly<Record<string, number>>;

export interface Kind {
  readonly name: string;
  /** Of all schedules of a nightly run. */
  readonly share: number;
  play(seed: number): Promise<Counts>;
}

export const kinds: readonly Kind[] = [
  { name: 'doubles', share: 0.15, play: (seed) => playShard(seed, 'doubles', 'committed-only') },
  { name: 'alone', share: 0.2, play: (seed) => playShard(seed, 'alone', 'committed-only') },
  { name: 'alone-preserve', share: 0.15, play: (seed) => playShard(seed, 'alone', 'preserve') },
  { name: 'group', share: 0.15, play: (seed) => playShard(seed, 'group', 'committed-only') },
  { name: 'group-preserve', share: 0.1, play: (seed) => playShard(seed, 'group', 'preserve') },
  { name: 'crashes', share: 0.001, play: (seed) => crashEverywhere(seed, 'committed-only') },
  { name: 'crashes-preserve', share: 0.001, play: (seed) => crashEverywhere(seed, 'preserve') },
];

export function addCounts(total: Record<string, number>, counts: Counts): void {
  for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
}
