/** What a migration from another mirror gives: resources as text, and what became of every setting that was read. */

/**
 * `exact`      the resources say the same
 * `different`  the resources say the nearest thing, and the notes what differs
 * `no-equal`   nothing in the resources stands for it; the notes say why, the steps what to do where something is to be done
 * `unknown`    not a setting that the other system has in any version known here
 */
export const fates = ['exact', 'different', 'no-equal', 'unknown'] as const;

export type Fate = (typeof fates)[number];

/** One setting of a file. A secret's value never stands here. */
export interface MigratedSetting {
  readonly file: string;
  /** From 1; null where the file has no lines, as a database. */
  readonly line: number | null;
  /** As the file calls it. */
  readonly setting: string;
  /** Null where it is a secret or could hold one. */
  readonly value: string | null;
  readonly fate: Fate;
  /** Keys of the resources that stand for it: `Mirror east-to-west: spec.topics`. */
  readonly to: readonly string[];
  readonly notes: readonly string[];
  /** What a person has to do or decide. */
  readonly steps: readonly string[];
}

/** A secret that the resources only point to. It has to be put there. */
export interface MigratedSecret {
  /** `Cluster east: spec.security.password` */
  readonly key: string;
  readonly reference: { readonly env: string } | { readonly file: string };
  /** Where its value stands now. */
  readonly from: string;
  /** True where the reference is to the place itself: nothing is to be done. */
  readonly isThere: boolean;
}

/** Somebody who had an account. Passwords and tokens are left behind: each sets a new one. */
export interface MigratedUser {
  readonly name: string;
  readonly roles: readonly string[];
  readonly wasInitial: boolean;
  readonly mustSetPassword: true;
}

/** Rows of the other system about the past, with secrets taken out. */
export interface MigratedHistory {
  readonly table: string;
  /** Which of the shapes that the table has had: its own name for it. */
  readonly shape: string;
  readonly rows: readonly Readonly<Record<string, string | number | boolean | null>>[];
}

/** What one mirror did in a stretch of time. */
export interface MigratedFigures {
  readonly mirror: string;
  /** When it ended, in milliseconds since the epoch. */
  readonly at: number;
  /** How much of it was measured; 0 where that is not known. */
  readonly coveredMs: number;
  /** What was copied within. */
  readonly records: number;
  readonly bytes: number;
  /** The mean of it. */
  readonly lagRecords: number | null;
}

export interface Migration {
  /** YAML that `parseDocuments` accepts; empty where there is nothing to copy. */
  readonly resources: string;
  readonly clusters: readonly string[];
  readonly mirrors: readonly string[];
  readonly settings: readonly MigratedSetting[];
  /** What the other system does without being told, where it matters. */
  readonly defaults: readonly string[];
  readonly secrets: readonly MigratedSecret[];
  readonly users: readonly MigratedUser[];
  readonly history: readonly MigratedHistory[];
  /** Of the mirrors, in the order of time. */
  readonly figures: readonly MigratedFigures[];
}

/** Whether a person has to look before the resources are run. */
export function isOpen({ settings }: Migration): boolean {
  return settings.some(({ fate, steps }) => fate === 'unknown' || steps.length > 0);
}
