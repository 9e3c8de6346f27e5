import type { WebStream } from '#util/host.ts';
import { printable } from '#util/printable.ts';
import { cannotWrite, refuseExisting } from '../files.ts';
import { formatBytes } from '../format.ts';
import type { Io } from '../io.ts';
import type { Remote, Shown } from '../remote/remote-verb.ts';

/**
 * A file of the server, to standard output or into a new file that nobody else may read: who did what is not for everybody. One
 * that did not come whole is taken away again.
 */
export async function saveFile({ io, host }: Remote, { chunks }: WebStream, path: string | undefined): Promise<Shown> {
  if (path === undefined) {
    const decoder = new TextDecoder();
    for await (const chunk of chunks) io.out(shownOn(io, decoder.decode(chunk, { stream: true })));
    return { json: undefined, lines: [] };
  }
  refuseExisting(host.disk, path);
  const file = await host.disk.createAppendFile(path).catch((cause: unknown) => {
    throw cannotWrite(path, cause);
  });
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      await file.append(chunk);
    }
  } catch (error) {
    host.disk.remove(path);
    throw error;
  } finally {
    await file.close();
  }
  return { json: { file: path, bytes }, lines: [`${formatBytes(bytes)} in ${path}`] };
}

/** Names that clusters gave may be hostile to a terminal; a file and a pipe get them as they are. */
function shownOn({ isTty }: Io, text: string): string {
  return isTty ? text.split(/\r?\n/).map(printable).join('\n') : text;
}
