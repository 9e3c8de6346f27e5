/** Configurations of other mirrors, in the shapes that their documentation shows (test/fixtures/migrate). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Fate, Migration } from '#contract/migration.ts';

const folder = join(import.meta.dirname, '../../test/fixtures/migrate');

export function fixturePath(name: string): string {
  return join(folder, name);
}

export function fixtureBytes(name: string): { path: string; bytes: Uint8Array } {
  return { path: name, bytes: readFileSync(fixturePath(name)) };
}

export function fixtureText(name: string): { path: string; text: string } {
  return { path: name, text: readFileSync(fixturePath(name), 'utf8') };
}

/** Setting → what became of it. */
export function fatesOf({ settings }: Migration): Record<string, Fate> {
  return Object.fromEntries(settings.map(({ setting, fate }) => [setting, fate]));
}

/** Words of fixtures that stand for secrets: none may come out again. */
export function leaksIn(migration: Migration): string[] {
  return [...new Set(JSON.stringify(migration).match(/canary[\w-]*|\$2a\$10/g))];
}
