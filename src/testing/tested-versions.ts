import { assert } from '#util/assert.ts';
import { isKafkaVersion } from './kafka-home.ts';
import type { KafkaVersion } from './kafka-home.ts';

/** `source:target`, such as `3.5.1:4.3.1`. Set by scripts/versions.ts, never by hand in a whole run. */
export const versionsVariable = 'LOCKSTEP_VERSIONS';

export interface VersionPair {
  readonly source: KafkaVersion;
  readonly target: KafkaVersion;
}

/** The Kafka versions that the suites of `npm run test:versions` are to use now; null in every other run. */
export function testedVersions(): VersionPair | null {
  const pair = process.env[versionsVariable];
  return pair === undefined ? null : parseVersionPair(pair);
}

export function parseVersionPair(text: string): VersionPair {
  const [source = '', target = ''] = text.split(':');
  assert(isKafkaVersion(source) && isKafkaVersion(target), `${text} is source:target of known Kafka versions`);
  return { source, target };
}
