/** Options of the server while it runs, and the secrets that it keeps. */
import { z } from 'zod';
import { storedSecretName } from '../../cluster-security.ts';
import { anyJson, count, time } from '../common.ts';
import { defineRoute, empty, json, on } from '../route.ts';

const optionView = z
  .strictObject({
    key: z.string(),
    value: anyJson.describe('As a file would hold it; of a secret where it stands, never what it is'),
    source: z.enum(['flag', 'environment', 'stored', 'file', 'default']),
    isHot: z.boolean().describe('A change holds at once; else after a restart'),
    isSettable: z.boolean().describe('It can be set over the API'),
    isWaiting: z.boolean().describe('It was changed, and holds after a restart'),
    form: z.string().describe('What a value looks like'),
    description: z.string(),
    version: z.int().describe('Of the configuration as a whole'),
  })
  .meta({ id: 'Option' });

const configuration = z
  .strictObject({
    config: z
      .record(z.string(), anyJson)
      .describe('What holds, after the restarts that it waits for, as a file would hold it'),
    options: z.array(optionView),
    version: z.int(),
    updatedAt: time().nullable().describe('When something was set over the API last'),
    updatedBy: z.string().nullable(),
  })
  .meta({ id: 'Configuration' });

/** Checked by the table of options, not by a schema of its own. */
const document = z.record(z.string(), anyJson).meta({ id: 'StatedConfiguration' });

const byKey = z.strictObject({ key: z.string().min(1).max(100) });

const REFUSALS = ['CONFIG_INVALID', 'RESOURCE_CONFLICT'] as const;

const secretView = z
  .strictObject({
    name: z.string(),
    version: z.int().describe('Grows with each new value'),
    keyId: z.string().describe('Of the key that wraps its own'),
    usedBy: z.array(z.string()).describe('Clusters that refer to it'),
    createdAt: time(),
    updatedAt: time(),
    updatedBy: z.string().nullable(),
  })
  .meta({ id: 'Secret' });

const SECRET_CHARACTERS_MAX = 100_000;

const bySecret = z.strictObject({ name: storedSecretName() });

export const configurationRoutes = {
  getConfiguration: defineRoute({
    method: 'GET',
    path: '/api/v1/config',
    tag: 'config',
    summary: 'Every option of the server: what it is set to, where that comes from, and when it holds.',
    access: on('config:view', 'server'),
    audit: null,
    hasVersion: true,
    answer: json(configuration),
  }),
  replaceConfiguration: defineRoute({
    method: 'PUT',
    path: '/api/v1/config',
    tag: 'config',
    summary:
      'Replaces what was set over the API: what is left out, or null, comes from file and defaults again. What a flag or a variable fixes is refused where it is another value.',
    access: on('config:edit', 'server'),
    audit: 'config.replace',
    hasVersion: true,
    needsStepUp: true,
    body: document,
    answer: json(configuration),
    errors: REFUSALS,
  }),
  exportConfiguration: defineRoute({
    method: 'POST',
    path: '/api/v1/config/export',
    tag: 'config',
    summary: 'What holds and is no default, as a YAML file that a server can be started with.',
    access: on('config:view', 'server'),
    audit: 'config.export',
    answer: { kind: 'file', status: 200, media: 'application/yaml' },
  }),
  importConfiguration: defineRoute({
    method: 'POST',
    path: '/api/v1/config/import',
    tag: 'config',
    summary: 'Sets what the body states and leaves the rest; checked like every other change.',
    access: on('config:edit', 'server'),
    audit: 'config.import',
    hasVersion: true,
    needsStepUp: true,
    body: document,
    answer: json(configuration),
    errors: REFUSALS,
  }),
  getOption: defineRoute({
    method: 'GET',
    path: '/api/v1/config/options/:key',
    tag: 'config',
    summary: 'One option.',
    access: on('config:view', 'server'),
    audit: null,
    hasVersion: true,
    params: byKey,
    answer: json(optionView),
  }),
  setOption: defineRoute({
    method: 'PUT',
    path: '/api/v1/config/options/:key',
    tag: 'config',
    summary: 'Sets one option.',
    access: on('config:edit', 'server'),
    audit: 'config.set',
    hasVersion: true,
    needsStepUp: true,
    params: byKey,
    body: z.strictObject({ value: anyJson }),
    answer: json(optionView),
    errors: REFUSALS,
  }),
  resetOption: defineRoute({
    method: 'DELETE',
    path: '/api/v1/config/options/:key',
    tag: 'config',
    summary: 'Takes back what was set of one option: file and default say it again.',
    access: on('config:edit', 'server'),
    audit: 'config.reset',
    hasVersion: true,
    needsStepUp: true,
    params: byKey,
    answer: json(optionView),
    errors: REFUSALS,
  }),
  listSecrets: defineRoute({
    method: 'GET',
    path: '/api/v1/secrets',
    tag: 'config',
    summary: 'Names of the secrets that clusters may refer to as { store: NAME }. No route shows a value.',
    access: on('config:view', 'server'),
    audit: null,
    answer: json(z.array(secretView)),
  }),
  setSecret: defineRoute({
    method: 'PUT',
    path: '/api/v1/secrets/:name',
    tag: 'config',
    summary: 'Sets a secret. Whoever connects with it uses the new value from the next connection on.',
    access: on('config:edit', 'server'),
    audit: 'secret.set',
    needsStepUp: true,
    params: bySecret,
    body: z.strictObject({ value: z.string().min(1).max(SECRET_CHARACTERS_MAX) }),
    answer: json(secretView),
    errors: ['RESOURCE_CHANGED', 'SECRET_UNAVAILABLE'],
  }),
  deleteSecret: defineRoute({
    method: 'DELETE',
    path: '/api/v1/secrets/:name',
    tag: 'config',
    summary: 'Deletes a secret that no cluster refers to.',
    access: on('config:edit', 'server'),
    audit: 'secret.delete',
    needsStepUp: true,
    params: bySecret,
    answer: empty,
    errors: ['RESOURCE_CONFLICT'],
  }),
  rotateSecrets: defineRoute({
    method: 'POST',
    path: '/api/v1/secrets/rotate',
    tag: 'config',
    summary:
      'Wraps the keys of all secrets by the first key of the key file. When none is left, the other keys can be taken out of it.',
    access: on('config:edit', 'server'),
    audit: 'secret.rotate',
    needsStepUp: true,
    answer: json(z.strictObject({ rewrapped: count(), left: count() })),
    errors: ['SECRET_UNAVAILABLE'],
  }),
};
