/** Server-sent events (WHATWG HTML 9.2) as they come over a connection, and the live events in them. */
import type { LiveEvent } from '#contract/api/routes/watching.ts';
import { AppError } from '#contract/errors.ts';

/** The whole state of a job of 100,000 partitions is 40 MB; what is longer is nothing of ours. */
const EVENT_CHARACTERS_MAX = 64 * 1024 * 1024;

/**
 * Ends where the connection does. `onHeard`: something came, if only a comment. Throws AppError SERVER_ANSWER_INVALID for
 * what is no live event.
 */
export async function* liveEvents(chunks: AsyncIterable<Uint8Array>, onHeard: () => void): AsyncGenerator<LiveEvent> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of chunks) {
    onHeard();
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop() ?? '';
    if (text.length > EVENT_CHARACTERS_MAX) throw strange('an event without end');
    for (const block of blocks) {
      const data = dataOf(block);
      if (data !== '') yield eventOf(data);
    }
  }
}

/** Comments keep the connection open, and say nothing. */
function dataOf(block: string): string {
  const lines = block.split(/\r?\n/).filter((line) => line.startsWith('data:'));
  return lines.map((line) => line.slice('data:'.length).replace(/^ /, '')).join('\n');
}

function eventOf(data: string): LiveEvent {
  try {
    const event: unknown = JSON.parse(data);
    if (typeof event === 'object' && event !== null && 'type' in event) return event as LiveEvent;
  } catch {
    // Said below.
  }
  throw strange('what is no event');
}

function strange(what: string): AppError {
  return new AppError('SERVER_ANSWER_INVALID', `The server sends ${what} as live state`, {
    nextStep: 'Look whether server and command are of one version, and what stands between them.',
  });
}
