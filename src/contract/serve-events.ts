/**
 * What `lockstep serve` and `lockstep worker` say of themselves on standard output; with --json each is a line. What their jobs say,
 * but for progress, stands between them as in `lockstep run` (status.ts). Times are milliseconds since the epoch.
 */
import type { ErrorCode, ErrorRow } from './errors.ts';

export type ServeEvent =
  | { readonly event: 'listening'; readonly url: string; readonly at: number }
  | { readonly event: 'metrics'; readonly url: string; readonly at: number }
  /** There is no user yet. The token is where it stands, or in `file`: never both. */
  | {
      readonly event: 'setup-token';
      readonly token: string | null;
      readonly file: string | null;
      readonly expiresAt: number;
      readonly at: number;
    }
  | {
      readonly event: 'audit-log';
      readonly directory: string;
      /** The verifier key: to be kept where whoever can change the log cannot change it. */
      readonly key: string;
      readonly entries: number;
      /** Intents from before this process that had no outcome; they have one now, `unknown`. */
      readonly dangling: number;
      readonly at: number;
    }
  | {
      readonly event: 'dangling-intent';
      readonly seq: number;
      readonly action: string;
      readonly resource: string;
      /** Whether the database has its effect; null: not known. */
      readonly hasEffect: boolean | null;
      readonly at: number;
    }
  /** A backup was put in the place of the database, as somebody had asked for. */
  | { readonly event: 'restored'; readonly backup: string; readonly takenAt: number; readonly at: number }
  /** Another server has the database; jobs are run beside it meanwhile. */
  | { readonly event: 'standing-by'; readonly at: number }
  | {
      readonly event: 'job';
      readonly id: string;
      readonly name: string;
      readonly state: 'starting' | 'running' | 'paused' | 'stopping' | 'stopped' | 'failed';
      readonly reason: string | null;
      readonly at: number;
    }
  | { readonly event: 'certificate'; readonly validUntil: number; readonly at: number }
  | {
      readonly event: 'trouble';
      readonly level: ErrorRow['level'];
      /** What is concerned: a constant phrase, but for names. */
      readonly message: string;
      readonly code: ErrorCode;
      /** What failed, outermost first. */
      readonly causes: readonly string[];
      readonly nextStep: string | null;
      /** Of a request, whose sender was told it. */
      readonly requestId: string | null;
      /** Of a bug. */
      readonly stack: string | null;
      readonly at: number;
    }
  | { readonly event: 'stopping'; readonly at: number }
  | { readonly event: 'stopped'; readonly at: number };
