/** What `lockstep doctor` looked at, and what came of it. */
export interface Check {
  /** What was looked at: this machine, a cluster, a mirror. */
  readonly subject: string;
  readonly what: string;
  /** `unknown`: it could not be learnt, which is neither good nor bad. */
  readonly verdict: 'ok' | 'warning' | 'failed' | 'unknown';
  readonly found: string;
  /** What to do; null where nothing. */
  readonly nextStep: string | null;
}
