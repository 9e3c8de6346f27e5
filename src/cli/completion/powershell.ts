/** Completion for PowerShell 5.1 and newer: a table of what each command takes, and a walk through the words. */
import { nodesOf, type CommandNode } from './command-tree.ts';

export function powershellCompletion(tree: CommandNode): string {
  const { name } = tree;
  const rows = nodesOf(tree).map(({ path, options, argument, commands }) => {
    const words = [
      ...commands.map((each) => [each.name, each.summary]),
      ...options.map(({ flags, description }) => [flags.at(-1) ?? '', description]),
      ...(argument?.kind === 'choice' ? argument.choices.map((choice) => [choice, choice]) : []),
    ].map(([word = '', text = '']) => `[PSCustomObject]@{ Word = ${quoted(word)}; Text = ${quoted(text)} }`);
    const values = options.flatMap(({ flags, value }) =>
      value === null ? [] : flags.map((flag) => `${quoted(flag)} = ${quoted(value.kind)}`),
    );
    return `    ${quoted(path)} = @{
      Words = @(
${words.map((word) => `        ${word}`).join('\n')}
      )
      Values = @{ ${values.join('; ')} }
      Argument = ${quoted(argument === null ? '' : argument.kind)}
    }`;
  });
  return `# Completion of ${name} for PowerShell:
#   ${name} completion powershell | Out-String | Invoke-Expression
# or keep it, in the file of $PROFILE.

Register-ArgumentCompleter -Native -CommandName ${quoted(name)} -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $commands = @{
${rows.join('\n')}
  }
  $at = ${quoted(name)}
  $before = ''
  foreach ($element in @($commandAst.CommandElements | Select-Object -Skip 1)) {
    # What the cursor stands in, or behind, is not yet a word before it.
    if ($element.Extent.EndOffset -ge $cursorPosition) { break }
    $word = $element.ToString()
    if (-not $commands[$at].Values.ContainsKey($before) -and $commands.ContainsKey("$at $word")) { $at = "$at $word" }
    $before = $word
  }
  $value = $commands[$at].Values[$before]
  if (-not $value -and -not $wordToComplete.StartsWith('-')) { $value = $commands[$at].Argument }
  # Nothing: PowerShell then proposes files by itself.
  if ($value -eq 'file') { return }
  if ($value -eq 'text') { return }
  $commands[$at].Words | Where-Object { $_.Word.StartsWith($wordToComplete) } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_.Word, $_.Word, 'ParameterValue', $_.Text)
  }
}
`;
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\u2018\u2019]/g, '$&$&')}'`;
}
