// Counts what the suite's runs reported: `run <file>` judges one and names its slowest files, `total <directory> <failed
// step...>` adds all of them up and prints the last line of .ci/run.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { z } from 'zod'

const reportSchema = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  success: z.boolean(),
  testResults: z.array(
    z.object({ name: z.string(), status: z.string(), startTime: z.number(), endTime: z.number() }),
  ),
})

type Report = z.infer<typeof reportSchema>

interface Counts {
  passed: number
  failed: number
  skipped: number
}

function readReport(path: string): Report | null {
  try {
    return reportSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    console.error(`no report of the run: ${error instanceof Error ? error.message : error}`)
    return null
  }
}

// A run without a report, or one that failed in no single test (a file that does not load, an error out of turn), failed once.
function count(report: Report | null): Counts {
  if (!report) return { passed: 0, failed: 1, skipped: 0 }
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, success } = report
  const failed = numFailedTests === 0 && !success ? 1 : numFailedTests
  return { passed: numPassedTests, failed, skipped: numPendingTests + numTodoTests }
}

function printSlowest({ testResults }: Report): void {
  const files = testResults
    .map(({ name, startTime, endTime }) => ({ name: relative(process.cwd(), name), ms: endTime - startTime }))
    .sort((a, b) => b.ms - a.ms)
    .slice(0, 5)
  console.log('slowest files:')
  for (const { name, ms } of files) console.log(`${(ms / 1000).toFixed(1).padStart(6)} s  ${name}`)
}

function judgeRun(path: string): boolean {
  const report = readReport(path)
  const { failed, skipped, passed } = count(report)
  if (report) printSlowest(report)
  if (skipped > 0) console.error(`${skipped} tests were skipped: every one has to run`)
  if (passed === 0) console.error('no test passed')
  return failed === 0 && skipped === 0 && passed > 0
}

function printTotal(directory: string, failedSteps: readonly string[]): boolean {
  const total: Counts = { passed: 0, failed: 0, skipped: 0 }
  for (const file of readdirSync(directory)) {
    const { passed, failed, skipped } = count(readReport(join(directory, file)))
    total.passed += passed
    total.failed += failed
    total.skipped += skipped
  }
  // Whatever failed outside of a test must not read as a success.
  if (failedSteps.length > 0 && total.failed === 0) total.failed = failedSteps.length
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  return failedSteps.length === 0 && total.failed === 0 && total.skipped === 0 && total.passed > 0
}

const [command, path = '', ...failedSteps] = process.argv.slice(2)
const isGood = command === 'run' ? judgeRun(path) : printTotal(path, failedSteps)
process.exitCode = isGood ? 0 : 1
