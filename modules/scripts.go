package modules

// Scripts are short names of the shell scripts that modules run, with their texts. A fake host (package hosttest) is told by these names
// what they print: "@units postfix.service".
func Scripts() map[string]string {
	return map[string]string{
		"units": unitShow, "enabled": unitEnabled, "journal": unitLog, "init-look": initLook, "init-do": initDo, "init-enable": initEnable,
		"init-log": initLog, "processes": processTable, "terminate": endScript, "services": knownServices,
		"postfix": postfixLook, "sbin": postfixRun, "keep": keepScript,
		"postfix-place": postfixPlace, "spool": postfixSpool, "queue": postfixList,
		"open-files": openFiles, "keep-mark": keepMark, "folders": lookFolders, "folder-files": lookFolderFiles,
		"users": lookUsers, "dovecot": lookDovecot, "indexes": lookIndexes, "make-indexes": makeIndexes,
		"quotas": lookQuotas, "count-quotas": countQuotas,
		"scripts": lookScripts, "compile": compileScript,
		"account": accountRun, "apt-age": aptAge, "apt-update": aptUpdate, "apt-simulate": aptSimulate, "apt-do": aptDo, "facts": factsLook,
	}
}
