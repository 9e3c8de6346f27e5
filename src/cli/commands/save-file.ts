import { createSecret, refuseExisting } from '../files.ts';
import { formatBytes } from '../format.ts';
import type { Remote, Shown } from '../remote/remote-verb.ts';
import type { WebStream } from '#util/host.ts';
import { printable } from '#util/printable.ts';
import type { Io } from '../io.ts';

/** A file of the server, into a new one or to standard output. A file that did not come whole is taken away again. */
export async function saveFile({ io, host }: Remote, { chunks }: WebStream, path: string | undefined): Promise<Shown> {
  const decoder = new TextDecoder();
  if (path === undefined) {
    for await (const chunk of chunks) io.out(shownOn(io, decoder.decode(chunk, { stream: true })));
    return { json: undefined, lines: [] };
  }
  refuseExisting(host.disk, path);
  createSecret(host.disk, path, ''); // who did what is not for everybody
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      host.disk.appendText(path, decoder.decode(chunk, { stream: true }));
    }
  } catch (error) {
    host.disk.remove(path);
    throw error;
  }
  return { json: { file: path, bytes }, lines: [`${formatBytes(bytes)} in ${path}`] };
}

/** Names that clusters gave may be hostile to a terminal; a file and a pipe get them as they are. */
function shownOn({ isTty }: Io, text: string): string {
  return isTty ? text.split(/\r?\n/).map(printable).join('\n') : text;
}
