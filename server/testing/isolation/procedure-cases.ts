import { ACCOUNT_CASES } from './procedure-cases/account.ts'
import { APPROVAL_CASES } from './procedure-cases/approvals.ts'
import type { AllCases } from './procedure-cases/case.ts'
import { CONTENT_CASES } from './procedure-cases/content.ts'
import { ORGANIZATION_CASES } from './procedure-cases/organizations.ts'
import { SECRET_CASES } from './procedure-cases/secrets.ts'
import { TASK_CASES } from './procedure-cases/tasks.ts'

/**
 * One call or more a procedure. The type makes a procedure without a case an error of the compiler, and the
 * matrix makes it a failing test.
 */
export const CASES: AllCases = {
  ...ACCOUNT_CASES,
  ...ORGANIZATION_CASES,
  ...APPROVAL_CASES,
  ...SECRET_CASES,
  ...CONTENT_CASES,
  ...TASK_CASES,
}
