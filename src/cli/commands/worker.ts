import { optionFlags } from '../options.ts';
import { runProcess, type ProcessOptions } from '../progress/run-process.ts';
import type { Verb } from '../verb.ts';

export const worker: Verb<ProcessOptions> = {
  summary: "run a server's jobs in one more process",
  description:
    "Runs the jobs of a server's database (PostgreSQL) beside it, until SIGTERM or Ctrl-C: the partitions of each mirror are shared between the processes, and those of one that is gone go to the others. Secrets of clusters have to be where they are named on this machine too.\n\nExit code 0 after SIGTERM or Ctrl-C, 1 when it could not begin, 2 when an option is wrong.",
  examples: [
    'LOCKSTEP_DATABASE_URL=postgres://lockstep@db/lockstep lockstep worker',
    'lockstep worker --config /etc/lockstep/lockstep.yaml --metrics 9464',
  ],
  options: optionFlags('worker'),
  takesFiles: false,
  run: (context, options) => {
    const { host, app } = context;
    return runProcess(context, options, { name: 'worker', start: (running) => app.work(host, running) });
  },
};
