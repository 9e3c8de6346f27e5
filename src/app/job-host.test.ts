import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveOptions } from '#contract/option-values.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { systemHost } from '#util/host.ts';
import { createJobHost, foreignVariables } from './job-host.ts';

test("what a cluster may name as its password is never the server's own, under whatever name", () => {
  const directory = temporaryDirectory('own-files');
  const at = (name: string): string => join(directory, name);
  for (const name of ['kafka-password', 'lockstep.key', 'audit.key', 'oidc-secret'])
    writeFileSync(at(name), `in ${name}`);
  symlinkSync(at('lockstep.key'), at('link'));
  mkdirSync(at('sub'));
  const environment = {
    LOCKSTEP_SECRETS_KEY_FILE: at('lockstep.key'),
    LOCKSTEP_AUDIT_KEY_FILE: at('audit.key'),
    LOCKSTEP_DATABASE_URL: 'postgres://lockstep:secret@db/lockstep',
    KAFKA_PASSWORD: 'secret',
  };
  const host = { ...systemHost, environment };
  const flags = new Map([
    ['auth.oidc.issuer', 'https://idp.example'],
    ['auth.oidc.clientId', 'lockstep'],
    ['auth.oidc.clientSecret', `file:${at('oidc-secret')}`],
    ['auth.oidc.roles', 'groups=a:admin'],
  ] as const);
  const { values } = resolveOptions({ environment, flags });
  const { disk, environment: named } = createJobHost(host, values, foreignVariables(host));
  expect(named).toEqual({ KAFKA_PASSWORD: 'secret' });
  expect(disk.readText(at('kafka-password'))).toBe('in kafka-password');
  const own = ['lockstep.key', 'audit.key', 'oidc-secret', 'link', 'sub/../lockstep.key'].map(at);
  for (const path of [...own, '/proc/self/environ', '/tmp/../proc/self/environ'])
    expect(() => disk.readText(path), path).toThrow("is the server's own");
});
