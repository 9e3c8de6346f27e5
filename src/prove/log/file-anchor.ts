/** An anchor that is a file: on another disk, a share of another administrator, a mount that is written once. */
import type { Disk } from '#util/host.ts';
import type { Anchor } from './anchor.ts';
import { splitNotes } from './checkpoint.ts';
import { readIfThere } from './log-disk.ts';

export function createFileAnchor(disk: Pick<Disk, 'readBytes' | 'appendText' | 'sync'>, path: string): Anchor {
  return {
    name: `file ${path}`,
    latest: async () => splitNotes(readIfThere(disk, path)?.toString() ?? ''),
    async publish(note) {
      disk.appendText(path, `${note}\n`);
      disk.sync(path);
    },
  };
}
