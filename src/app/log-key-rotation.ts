/**
 * `lockstep admin rotate-audit-key`: the log goes over to another key of its name. The new key is on the disk before the log says
 * so, and takes the place of the old one after that: a process that dies in between goes on with the old one, which the log
 * still knows, and the new one is worth nothing.
 */
import { dirname } from 'node:path';
import type { SignerKey } from '#prove/log/note.ts';
import type { Host } from './host.ts';
import { openSigner } from './key-files.ts';

const DRAFT = '.new';

export interface KeyRotation {
  /** Public keys. */
  readonly from: string;
  readonly to: string;
}

/** `rotate` tells the log. Throws what it throws, and what the disk says: then the old key holds. */
export async function rotateLogKey(
  host: Pick<Host, 'disk' | 'entropy'>,
  {
    path,
    key,
    rotate,
  }: { readonly path: string; readonly key: SignerKey; readonly rotate: (to: SignerKey) => Promise<void> },
): Promise<KeyRotation> {
  const draft = `${path}${DRAFT}`;
  host.disk.remove(draft); // of one that died
  const to = openSigner(host, { path: draft, isNew: true, name: key.verifier.name });
  await host.disk.syncDirectory(dirname(path));
  await rotate(to);
  host.disk.rename(draft, path);
  await host.disk.syncDirectory(dirname(path));
  return { from: key.verifier.text, to: to.verifier.text };
}
