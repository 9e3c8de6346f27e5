/** `sync` of a Mirror: settings of topics, ACLs and consumer groups. */
import { javaTrim } from '../java/properties.ts';
import { excludedBy, includedBy } from '../name-filter.ts';
import type { Setting } from '../report.ts';
import type { PairContext } from './model.ts';
import type { Naming } from './naming.ts';
import { filterOf, flag, keyOf, millisecondsOf, named, tell } from './pair-settings.ts';

const GROUPS_EXCLUDE = ['console-consumer-.*', 'connect-.*', '__.*'];
/** Of MirrorMaker 2's list those that are a matter of choice here (contract/sync-settings.ts). */
const CONFIGS_EXCLUDE = ['unclean.leader.election.enable', 'min.insync.replicas'];

export function syncOf(context: PairContext, naming: Naming): Record<string, unknown> {
  const configs = configsOf(context);
  const groups = groupsOf(context, naming);
  return {
    ...(configs === true ? {} : { configs }),
    ...(aclsOf(context) ? { acls: true } : {}),
    ...(groups === null ? {} : { groups }),
  };
}

function configsOf(context: PairContext): boolean | Record<string, unknown> {
  const enabled = named(context, 'source', 'sync.topic.configs.enabled');
  const excluded = named(context, 'source', 'config.properties.exclude', 'config.properties.blacklist');
  const defaults = named(context, 'source', 'use.defaults.from');
  if (!flag(enabled, true)) {
    tell(context, enabled, 'exact', { to: keyOf(context, 'sync.configs') });
    for (const setting of [excluded, defaults])
      tell(context, setting, 'exact', { note: 'Settings of topics are not synchronised.' });
    return false;
  }
  tell(context, enabled, 'different', { to: keyOf(context, 'sync.configs'), note: NEVER_WEAKER });
  if (enabled === undefined) context.report.tellDefault(`${context.name}: ${NEVER_WEAKER}`);
  const filter = filterOf(context, {
    setting: excluded,
    byDefault: [],
    named: 'other',
    read: excludedBy,
    to: 'sync.configs.exclude',
    otherwise: 'Write sync.configs.exclude in place of "configs: false".',
  });
  if (filter === null) return false;
  const from = defaults === undefined ? 'target' : javaTrim(defaults.value).toLowerCase();
  if (from === 'source' || from === 'target')
    tell(context, defaults, 'exact', { to: keyOf(context, 'sync.configs.defaultsFrom') });
  else
    tell(context, defaults, 'no-equal', {
      note: 'It is neither source nor target.',
      step: `Write sync.configs.defaultsFrom of the Mirror ${context.name} if it is not target.`,
    });
  return {
    exclude: excluded === undefined ? CONFIGS_EXCLUDE : filter.exclude,
    ...(from === 'source' ? { defaultsFrom: 'source' } : {}),
  };
}

const NEVER_WEAKER =
  'Retention is never shortened on the target; "allowWeaker: true" in sync.configs does that, as MirrorMaker 2 does.';

function aclsOf(context: PairContext): boolean {
  const enabled = named(context, 'source', 'sync.topic.acls.enabled');
  const isWanted = flag(enabled, true);
  const note =
    'ACLs of groups, transactional ids and the cluster are copied too, and those about beginnings of names; "sync.acls" says which.';
  tell(context, enabled, isWanted ? 'different' : 'exact', {
    to: keyOf(context, 'sync.acls'),
    note: isWanted ? note : undefined,
  });
  if (enabled === undefined)
    context.report.tellDefault(`${context.name}: MirrorMaker 2 copies ACLs of topics unless told not to. ${note}`);
  return isWanted;
}

function groupsOf(context: PairContext, naming: Naming): Record<string, unknown> | null {
  const { pair, report, name } = context;
  const of = (...keys: readonly string[]): Setting | undefined => named(context, 'checkpoint', ...keys);
  const enabled = of('sync.group.offsets.enabled');
  const checkpoints = of('emit.checkpoints.enabled');
  const interval = of('sync.group.offsets.interval.seconds');
  const [match, exclude] = [of('groups'), of('groups.exclude', 'groups.blacklist')];
  tell(context, enabled, 'exact', { to: keyOf(context, 'sync.groups') });
  if (!flag(enabled, false)) {
    const step = `If programs translate offsets by MirrorMaker 2's client, write sync.groups of the Mirror ${name} with "checkpoints: true".`;
    const isEmitted = checkpoints !== undefined && flag(checkpoints, true);
    tell(context, checkpoints, isEmitted ? 'no-equal' : 'exact', {
      note: isEmitted ? 'Checkpoints come with sync.groups, which moves the groups, too.' : undefined,
      step: isEmitted ? step : undefined,
    });
    for (const setting of [interval, match, exclude])
      tell(context, setting, 'exact', { note: 'Groups are not synchronised.' });
    if (checkpoints === undefined)
      report.tellDefault(
        `${name}: MirrorMaker 2 writes checkpoints unless told not to; they come with sync.groups here.`,
      );
    return null;
  }
  const otherwise = `Write sync.groups of the Mirror ${name}: without it no group is synchronised.`;
  const included = filterOf(context, {
    setting: match,
    byDefault: ['.*'],
    named: 'other',
    read: includedBy,
    to: 'sync.groups.match',
    otherwise,
  });
  const excluded = filterOf(context, {
    setting: exclude,
    byDefault: GROUPS_EXCLUDE,
    named: 'other',
    read: excludedBy,
    to: 'sync.groups.exclude',
    otherwise,
  });
  const everyMs = millisecondsOf(context, interval, 'sync.groups.everyMs');
  if (included === null || excluded === null || included.match.length === 0) return null;
  const isEmitted = flag(checkpoints, true);
  const isRenamed = pair.source.name !== pair.source.alias || !naming.hasUsualInternals;
  tell(context, checkpoints, isEmitted && isRenamed ? 'different' : 'exact', {
    to: keyOf(context, 'sync.groups.checkpoints'),
    note: isEmitted && isRenamed ? `The topic of checkpoints is ${pair.source.name}.checkpoints.internal.` : undefined,
  });
  const denied = [...included.exclude, ...excluded.exclude];
  return {
    match: included.match,
    ...(denied.length === 0 ? {} : { exclude: denied }),
    ...(everyMs === null ? {} : { everyMs }),
    ...(isEmitted ? { checkpoints: true } : {}),
  };
}
