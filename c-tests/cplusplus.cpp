// The header and the library from C++17: the same names, with C linkage.
#include <libstmf.h>
#include <memory>
#include <string>
#include <vector>
#include "check.h"

namespace {

struct FreeMemory {
	void operator()(void *memory) const { stmfFreeMemory(memory); }
};

std::vector<std::string> host_groups()
{
	stmfGroupList *list = nullptr;

	if (!CALL(stmfGetHostGroupList(&list), STMF_STATUS_SUCCESS))
		return {};
	std::unique_ptr<stmfGroupList, FreeMemory> owner(list);
	std::vector<std::string> names;
	for (uint32_t i = 0; i < list->cnt; i++)
		names.emplace_back(list->name[i]);
	return names;
}

} // namespace

int main()
{
	stmfState state = {};
	stmfGroupName name = "c++ group";

	CALL(stmfGetState(nullptr), STMF_ERROR_INVALID_ARG);
	CALL(stmfGetState(&state), STMF_STATUS_SUCCESS);
	TRUE(state.configState == STMF_CONFIG_STATE_INIT_DONE);

	const auto before = host_groups();
	CALL(stmfCreateHostGroup(&name), STMF_STATUS_SUCCESS);
	const auto during = host_groups();
	TRUE(during.size() == before.size() + 1 && during.back() == name);
	CALL(stmfDeleteHostGroup(&name), STMF_STATUS_SUCCESS);
	TRUE(host_groups() == before);

	boolean_t enabled = B_TRUE;
	uint8_t node = 0xee;
	CALL(stmfGetAluaState(&enabled, &node), STMF_STATUS_SUCCESS);
	TRUE(enabled == B_FALSE && node <= 1);
	return check_end();
}
