import { realpathSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { type Command, CommanderError } from 'commander'
import { loadEnvFile } from '#server/app/config.ts'
import { withoutPasswords } from '#server/postgres/migrations/errors.ts'
import { CheckFailed, describeFailure, type OutputOptions, printFailure } from './output.ts'

/** Builds a command line. Aborting `signal` ends a running command and rolls back its open file. */
export type CreateProgram = (signal: AbortSignal) => Command

/** Runs a command line if its module is the script that Node started. */
export async function runWhenMain(moduleUrl: string, createProgram: CreateProgram): Promise<void> {
  const [, script, ...args] = process.argv
  if (script === undefined || moduleUrl !== pathToFileURL(realpathSync(script)).href) return
  const abort = new AbortController()
  // A second signal ends the process at once, because `once` has removed the listener.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => abort.abort())
  // If the reader closes the pipe (`…
  //
  // head`), the command still closes what it opened.
  process.stdout.on('error', () => abort.abort())
  process.exitCode = await runCommandLine(createProgram, args, abort.signal)
}

/** Runs one command line and returns its exit code: 0 success, 1 failure, 2 invalid usage, 130 aborted. */
async function runCommandLine(
  createProgram: CreateProgram,
  args: string[],
  signal: AbortSignal,
): Promise<number> {
  const output: OutputOptions = { json: args.includes('--json') }
  const program = createProgram(signal)
  for (const command of [program, ...program.commands]) {
    command.exitOverride()
    command.configureOutput({
      writeErr: text => {
        if (!output.json) process.stderr.write(withoutPasswords(text))
      },
    })
  }
  try {
    loadEnvFile()
    await program.parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0
      const message = withoutPasswords(error.message)
      if (output.json) printFailure({ code: 'usage', message }, {}, program.name(), output)
      return 2
    }
    const details = error instanceof CheckFailed ? error.details : {}
    printFailure(describeFailure(error), details, program.name(), output)
    return signal.aborted ? 130 : 1
  }
}
