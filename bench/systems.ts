/** Everything that is measured, by name. */
import { resolve } from 'node:path';
import { lockstep } from './lockstep.ts';
import { mirrorMaker, mirrorMakerDefaults, mirrorMakerQuick, mirrorMakerUncompressed } from './mirror-maker.ts';
import { goMirror } from './peers/go-mirror.ts';
import { relay } from './peers/relay.ts';
import type { System } from './system.ts';

export interface SystemOptions {
  /** Where CPU profiles of lockstep go; its figures are higher then. */
  readonly profiles?: string;
  /** Another checkout, whose lockstep runs as `other`. */
  readonly checkout?: string;
}

export function systemsOf({ profiles, checkout }: SystemOptions = {}): System[] {
  const nodeFlags = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(profiles)}`];
  return [
    relay,
    lockstep({ nodeFlags }),
    lockstep({ name: 'lockstep-mapped', nodeFlags, offsets: 'mapped' }),
    lockstep({ name: 'lockstep-tls', nodeFlags, overTls: true }),
    lockstep({ name: 'lockstep-x2', nodeFlags, processes: 2 }),
    lockstep({ name: 'lockstep-x3', nodeFlags, processes: 3 }),
    goMirror,
    mirrorMaker,
    mirrorMakerUncompressed,
    mirrorMakerQuick,
    mirrorMakerDefaults,
    ...(checkout === undefined ? [] : [lockstep({ name: 'other', checkout: resolve(checkout), nodeFlags })]),
  ];
}
