import { optionFlags } from '../options.ts';
import { runProcess, type ProcessOptions } from '../progress/run-process.ts';
import type { Verb } from '../verb.ts';

export const serve: Verb<ProcessOptions> = {
  summary: 'run the control plane: API, users, jobs that survive restarts',
  description:
    'Runs the control plane and its jobs until SIGTERM or Ctrl-C. Clusters, jobs, users and secrets are in a database (SQLite by default, PostgreSQL by LOCKSTEP_DATABASE_URL), who did what in the audit log. Keys are made at the first start, beside the database: keep copies of them elsewhere.\n\nThere is no default password: while there is no user, a one-time token creates the first administrator. It is printed on a terminal, and put into a file for its owner alone where standard output is none.\n\nExit code 0 after SIGTERM or Ctrl-C, 1 when it could not begin or go on, 2 when an option is wrong.',
  examples: [
    'lockstep serve',
    'lockstep serve --config /etc/lockstep/lockstep.yaml',
    'lockstep serve --server-port 8443 --server-tls-cert-file server.pem --server-tls-key-file server-key.pem',
    'LOCKSTEP_DATABASE_URL=postgres://lockstep@db/lockstep lockstep serve --metrics 9464 --json',
  ],
  options: optionFlags('serve'),
  takesFiles: false,
  run: (context, options) => {
    const { io, host, app } = context;
    const isTerminal = io.isTty && options.json !== true;
    return runProcess(context, options, {
      name: 'serve',
      start: (running) => app.serve(host, { ...running, isTerminal }),
    });
  },
};
