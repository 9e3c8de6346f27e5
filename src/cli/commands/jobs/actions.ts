/** Starting, stopping and the like: of one job, and of all. */
import { exitCodes } from '../../exit-codes.ts';
import { confirm, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
import { remoteVerb, type RemoteOptions } from '../../remote/remote-verb.ts';
import type { Verb } from '../../verb.ts';
import { allJobs, pickJob } from './list.ts';
import { jobLines } from './shown.ts';

function action(
  verb: 'start' | 'stop' | 'pause' | 'resume' | 'restart',
  operation: 'startJob' | 'stopJob' | 'pauseJob' | 'restartJob',
  summary: string,
): Verb<RemoteOptions> {
  return remoteVerb({
    summary,
    description: `${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}. It says what is wanted and returns; "lockstep jobs status" shows what came of it.`,
    examples: [`lockstep jobs ${verb} orders`],
    async run(remote, _, [named]) {
      const id = await pickJob(remote, named);
      const job = await remote.api.call(operation, { params: { id } });
      return { json: { job }, lines: jobLines([job]) };
    },
  });
}

export const startJob = action('start', 'startJob', 'start a job');
export const resumeJob = action('resume', 'startJob', 'go on with a job that is paused');
export const stopJob = action('stop', 'stopJob', 'stop a job, after what is on its way has arrived');
export const pauseJob = action(
  'pause',
  'pauseJob',
  'pause a job, over restarts of the server too, until it is started',
);
export const restartJob = action('restart', 'restartJob', 'stop a job and start it');

function onAll(
  verb: 'start-all' | 'stop-all' | 'restart-all',
  operation: 'startAllJobs' | 'stopAllJobs' | 'restartAllJobs',
  { summary, question }: { readonly summary: string; readonly question: string | null },
): Verb<RemoteOptions & ConfirmOptions> {
  return remoteVerb({
    summary,
    examples: [`lockstep jobs ${verb}${question === null ? '' : ' --yes'}`],
    options: question === null ? {} : YES_OPTION,
    async run({ api, io }, options) {
      if (question !== null) await confirm(io, options, question);
      const names = new Map((await allJobs(api)).map(({ id, name }) => [id, name]));
      const { done, failed } = await api.call(operation, {});
      const nameOf = (id: string): string => names.get(id) ?? id;
      return {
        json: { done, failed },
        lines: [
          done.length === 0 && failed.length === 0
            ? 'no jobs to do it to'
            : `${done.length} done: ${done.map(nameOf).join(', ')}`,
          ...failed.map(({ id, code, message }) => `${nameOf(id)}: ${code}: ${message}`),
        ],
        code: failed.length === 0 ? exitCodes.ok : exitCodes.failed,
      };
    },
  });
}

export const startAllJobs = onAll('start-all', 'startAllJobs', {
  summary: 'start the jobs that are stopped; those that are paused stay so',
  question: null,
});
export const stopAllJobs = onAll('stop-all', 'stopAllJobs', {
  summary: 'stop all jobs',
  question: 'Stop all jobs?',
});
export const restartAllJobs = onAll('restart-all', 'restartAllJobs', {
  summary: 'restart the jobs that run',
  question: 'Restart all jobs that run?',
});
