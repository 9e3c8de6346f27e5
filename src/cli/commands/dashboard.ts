import { VIEWS } from '../dashboard/board.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { Dashboard } from '../dashboard/dashboard.ts';
import { remoteVerb, type RemoteOptions } from '../remote/remote-verb.ts';
import { choiceFrom } from '../remote/values.ts';
import type { Verb } from '../verb.ts';

interface Options extends RemoteOptions {
  readonly once?: true;
  readonly view?: string;
}

export const dashboard: Verb<Options> = remoteVerb({
  summary: 'watch clusters, jobs and incidents live, at a terminal',
  description:
    'Shows clusters, jobs, incidents and reports of a server at a terminal, live: jobs as the server tells of them, clusters and reports as they are asked for every 30 s. What is not known is shown as –.\n\nKeys: 1-4 or ←→ view, ↑↓ or j k select, return or tab open, b or Esc back, on a job s start, t stop, p pause, x restart (each asks first, and is there only for who may), r refresh, q quit.\n\nWith --once, or without a terminal, it prints one frame.',
  examples: [
    'lockstep dashboard',
    'lockstep dashboard --once --view jobs',
    'lockstep dashboard --once --json | jq .jobs',
  ],
  options: { '--once': 'print one frame, and end', '--view <name>': `${VIEWS.join(', ')}; without it jobs` },
  async run(remote, { once, view = 'jobs', json }) {
    const board = await Dashboard.open(remote, choiceFrom('--view', view, VIEWS));
    const isLive = !once && !json && remote.io.isTty && remote.io.onKey !== undefined;
    if (isLive) {
      await board.run();
      return { json: undefined, lines: [], code: remote.signal.aborted ? exitCodes.interrupted : exitCodes.ok };
    }
    await board.readAll();
    const { jobs, clusters, statuses, reports } = board.board;
    return {
      json: { jobs: [...jobs.values()], clusters, statuses: [...statuses.values()], reports },
      lines: board.frame(unstyled(remote.io)).slice(0, -2), // keys are for nobody here
    };
  },
});

/** Where it is no terminal, nothing is cut off. */
function unstyled(io: Io): Io {
  const size = io.isTty ? {} : { columns: () => COLUMNS_OF_A_FILE, rows: () => Infinity };
  return { ...io, ...size, style: (_, text) => text };
}

const COLUMNS_OF_A_FILE = 200;
